"""Spaces: rooms that have other rooms in them."""
