"""Receipts: who has read up to where, for those who share the room."""
