"""Participants, what they publish and hear, and the rooms they are in."""
