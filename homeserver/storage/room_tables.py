"""Every table that has rows of a room, and how they are found: the list that the deletion of a room goes through.

A new table with a column `room_nid` or `room_id` belongs into one of these lists; tests/storage/test_room_tables.py looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# By room. In this order: who reads the room's present finds nothing first.
BY_ROOM: Final = (
    ("published_rooms", "room_nid"),
    ("network_rooms", "room_nid"),
    ("directory_rooms", "room_nid"),
    ("room_aliases", "room_nid"),
    ("current_state", "room_nid"),
    ("memberships", "room_nid"),
    ("stripped_states", "room_nid"),
    ("timeline_gaps", "room_nid"),
    ("sticky_events", "room_nid"),
    ("receipts", "room_nid"),
    ("read_positions", "room_nid"),
    ("mailed_rooms", "room_nid"),
    ("thread_subscriptions", "room_nid"),
    ("search_past", "room_nid"),
    ("delayed_events", "room_id"),
    ("voice_identities", "room_id"),
    ("voice_mutes", "room_id"),
    ("account_data", "room_id"),
    ("notice_rooms", "room_id"),
    ("role_applied", "room_id"),
    ("staged_pdus", "room_id"),
    ("state_changes", "room_nid"),
)

# With each event: table, its column, and the column of `events` that it is equal to. Purged history takes these along.
BY_EVENT: Final = (
    ("relations", "event_nid", "event_nid"),
    ("forked_states", "event_nid", "event_nid"),
    ("redacted_bodies", "event_nid", "event_nid"),
    ("sticky_events", "event_nid", "event_nid"),
    ("redactions", "redacts", "event_id"),
    ("search_entries", "position", "position"),
    ("push_actions", "position", "position"),
)

# What is left when all events are gone: of events that never came here. One pass over small tables.
AFTER_EVENTS: Final = (
    ("relations", "room_nid"),
    ("redactions", "room_nid"),
    ("threads", "room_nid"),
)

# Rows that stay, and why.
KEPT: Final[Mapping[str, str]] = {
    "rooms": "its row goes last, or stays where users of this server have to learn that they are out",
    "events": "in steps of its own, with BY_EVENT",
    "blocked_rooms": "says that nobody comes in again",
    "key_backup_keys": "belong to the user, who may need them for what he has exported",
    "role_changes": "the history of the roles of a space, of which the room was one of many",
    "reports": "what was reported is why rooms are deleted",
}
