"""What of another server's answer to /backfill fills a gap: only what hangs together with it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from homeserver.protocol.events import Event


def connected(events: Sequence[Event], missing: Collection[str]) -> list[Event]:
    """Those of the events that are missing, and what they are built on, as far as it is there: each once.

    Whatever else a server puts into its answer is none of what was asked for.
    """
    by_id = {event.event_id: event for event in events}
    left = [event_id for event_id in missing if event_id in by_id]
    found: dict[str, Event] = {}
    while left:
        event_id = left.pop()
        if event_id not in found:
            found[event_id] = by_id[event_id]
            left.extend(prev for prev in by_id[event_id].prev_event_ids if prev in by_id)
    return list(found.values())


def open_ends(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    """By event id, what it is built on and what is not among the events. Empty where the room's beginning is reached."""
    there = {event.event_id for event in events}
    ends = {event.event_id: tuple(p for p in event.prev_event_ids if p not in there) for event in events}
    return {event_id: prevs for event_id, prevs in ends.items() if prevs}


def still_open(ends: Mapping[str, Sequence[str]], known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The ends without what is known here anyway."""
    left = {event_id: tuple(prev for prev in prevs if prev not in known) for event_id, prevs in ends.items()}
    return {event_id: prevs for event_id, prevs in left.items() if prevs}
