"""One-time codes beside the password."""
