"""Threads that users want to hear of (MSC4306), and how their devices learn of it (MSC4308)."""
