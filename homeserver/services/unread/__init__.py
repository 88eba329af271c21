"""Whom an event notifies, and what is unread."""
