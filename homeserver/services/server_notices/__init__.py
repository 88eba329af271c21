"""What the server tells its users."""
