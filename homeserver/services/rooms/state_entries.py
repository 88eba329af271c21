"""What an event of another server makes of the room's state, once positions are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from homeserver.services.rooms.live_room import CurrentState, Entry, LiveRoom
from homeserver.services.rooms.numbers import Place
from homeserver.services.rooms.timeline_event import UNPLACED, TimelineEvent

if TYPE_CHECKING:
    from homeserver.services.rooms.append import ForeignPart


def entries_of(
    foreign: ForeignPart, event: TimelineEvent, place: Place, find: Callable[[str], TimelineEvent]
) -> list[Entry]:  # fmt: skip
    """Changes at the bottom of the hole before the event, or with it; its own entry last.

    `find`: events of the same append by id.
    """
    if foreign.flags & UNPLACED:
        return []
    position = place.position if place.low is None else place.low + 1
    entries = []
    for change in foreign.changes:
        if change.key == foreign.self_key and place.low is None:
            continue
        holder = find(change.event) if isinstance(change.event, str) else change.event
        entries.append(Entry(change.key, position, None if holder is None else holder.with_position(position)))
    if foreign.self_key is not None:
        entries.append(Entry(foreign.self_key, place.position, event))
    return entries


def whole_room(room: LiveRoom, entries: Sequence[Entry]) -> LiveRoom | None:
    """The room as these entries make it; None where it has something already."""
    events = [entry.event for entry in entries if entry.event is not None]
    if len(room.state) or len(events) < len(entries):
        return None
    return LiveRoom(
        room_id=room.room_id,
        room_nid=room.room_nid,
        version=room.version,
        server_name=room.server_name,
        tip=room.tip,
        state=CurrentState(events),
    )
