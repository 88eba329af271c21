"""What of rooms other servers get to see."""
