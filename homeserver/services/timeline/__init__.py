"""Rooms, read: pages of a timeline, single events, state, the event at a time."""
