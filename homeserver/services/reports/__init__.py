"""What people tell the administrators about events, rooms and other people."""
