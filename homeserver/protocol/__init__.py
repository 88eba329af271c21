"""The Matrix protocol as pure functions over plain values: no I/O, no clock, no randomness.

Start reading at `events.py` (what an event is), `room_versions.py` (which rules apply to it) and `builder.py` (how one
is made).
"""
