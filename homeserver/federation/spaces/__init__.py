"""Spaces of other servers."""
