"""Finding people by their names."""
