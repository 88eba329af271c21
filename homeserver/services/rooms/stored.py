"""From database rows to the server's objects."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from homeserver.services.rooms.timeline_event import TimelineEvent

if TYPE_CHECKING:
    from asyncpg import Record


def to_timeline_event(record: Record, room_id: str) -> TimelineEvent:
    """A record with the columns of storage.events.COLUMNS."""
    return TimelineEvent(
        event_nid=record[0],
        position=record[0] if record[1] is None else record[1],
        room_nid=record[2],
        room_id=room_id,
        event_id=record[3],
        # The same few types and the same users come again and again: one string each.
        type=sys.intern(record[4]),
        state_key=record[5] if record[5] is None else sys.intern(record[5]),
        sender=sys.intern(record[6]),
        origin_server_ts=record[7],
        depth=record[8],
        flags=record[9],
        body=record[10],
        unsigned=record[11],
    )
