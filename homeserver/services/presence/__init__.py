"""Presence: who is online, for those who share a room."""
