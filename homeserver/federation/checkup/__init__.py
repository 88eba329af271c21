"""This server as other servers see it."""
