"""Rooms, or their past, leave this server."""
