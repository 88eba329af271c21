"""Sliding sync (MSC4186): windows on a user's list of rooms."""
