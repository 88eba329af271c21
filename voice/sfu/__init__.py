"""Selective forwarding: the interface, and the two that implement it."""
