"""Server-side backup of room keys."""
