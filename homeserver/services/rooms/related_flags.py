"""The flag RELATED of events in memory: there is something to aggregate. The database has it of all others."""

from __future__ import annotations

from collections.abc import Iterable

from homeserver.protocol.relations import AGGREGATED, relation_of
from homeserver.services.rooms.timeline_event import RELATED, TimelineEvent


def mark_parent(recent: Iterable[TimelineEvent], event: TimelineEvent) -> None:
    """A new event of the room: what it relates to has something to aggregate now."""
    relation = relation_of(event.content)
    if relation is None or relation[1] not in AGGREGATED:
        return
    for held in recent:
        if held.event_id == relation[0]:
            held.flags |= RELATED


def mark_late_parent(recent: Iterable[TimelineEvent], event: TimelineEvent) -> None:
    """Events of other servers may come after what relates to them."""
    event_id = event.event_id.encode()
    for held in recent:
        # Quicker than to parse them all.
        if event_id not in held.body:
            continue
        relation = relation_of(held.content)
        if relation is not None and relation[0] == event.event_id and relation[1] in AGGREGATED:
            event.flags |= RELATED
