"""What somebody who is not in a room yet is told of it. Client-server API, "Stripped state"."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent

# The list of the spec, in its order. m.room.create is required (since v1.16) and tells the room's type.
SHOWN_TYPES = (
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
)


def stripped_state(room: LiveRoom, user_id: str) -> list[bytes]:
    """JSON of stripped events for an invited or knocking user, his own membership and its sender's included.

    "Stripped state events can only have the `sender`, `type`, `state_key` and `content` properties present."
    """
    return [strip(event) for event in shown_events(room, user_id)]


def strip(event: TimelineEvent) -> bytes:
    """One event as stripped state."""
    stripped = {"content": event.content, "sender": event.sender, "state_key": event.state_key, "type": event.type}
    return orjson.dumps(stripped)


def shown_events(room: LiveRoom, user_id: str) -> Iterator[TimelineEvent]:
    """The events of `stripped_state`."""
    for event_type in SHOWN_TYPES:
        event = room.state.get(event_type)
        if event is not None:
            yield event
    own = room.state.get("m.room.member", user_id)
    if own is not None:
        # Who invites: clients show his name and picture, and have no other way to them.
        inviter = room.state.get("m.room.member", own.sender) if own.sender != user_id else None
        if inviter is not None:
            yield inviter
        yield own
