"""The part of `unsigned` that is the same for every reader, stored with the event.

Kept as the inside of a JSON object without braces, so that what differs by reader is spliced in behind it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import orjson

from homeserver.protocol.events import Event, StateKey
from homeserver.services.rooms.timeline_event import TimelineEvent


def unsigned_for_state(replaced: Event) -> bytes:
    """`prev_content`, `prev_sender` and `replaces_state` of an event that replaces another one as state."""
    return orjson.dumps(
        {"prev_content": replaced.content, "prev_sender": replaced.sender, "replaces_state": replaced.event_id}
    )[1:-1]


def unsigned_for_redacted(redaction: bytes) -> bytes:
    """`redacted_because` (the redaction in client format) and the older key `redacted_by`."""
    redaction_id = orjson.loads(redaction)["event_id"]
    return orjson.dumps({"redacted_by": redaction_id, "redacted_because": orjson.Fragment(redaction)})[1:-1]


def replaced_nothing(event: TimelineEvent, emptied: Container[StateKey]) -> bool:
    """Whether an entry of a room's state is surely the first of its type and key.

    A redaction takes that knowledge away; outliers, and what resolution has brought back, never had it. `emptied`: keys of
    the room that resolution left empty: what was there before is in no `unsigned`.
    """
    return (
        not event.is_redacted
        and event.position == event.event_nid
        and (event.unsigned is None or b'"replaces_state"' not in event.unsigned)
        and (event.type, event.state_key) not in emptied
    )


def replaced_membership(event: TimelineEvent) -> str | None:
    """The membership that an m.room.member event replaced, as its `prev_content` says; None where it has none."""
    membership = (replaced_content(event) or {}).get("membership")
    return membership if isinstance(membership, str) else None


def replaced_content(event: TimelineEvent) -> dict[str, Any] | None:
    """The content that a state event replaced, as its `prev_content` says; None where it has none."""
    if event.unsigned is None or b'"prev_content"' not in event.unsigned:
        return None
    previous = orjson.loads(b"{%b}" % event.unsigned).get("prev_content")
    return previous if isinstance(previous, dict) else None


def came_in(event: TimelineEvent) -> bool:
    """Whether somebody is in the room from this event on who was not before: a new name or picture is a join, too."""
    return event.membership == "join" and event.state_key is not None and replaced_membership(event) != "join"
