"""Long work in small steps."""
