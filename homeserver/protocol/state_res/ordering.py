"""Definitions "Power events", "Reverse topological power ordering" and "Mainline ordering"."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from homeserver.protocol.auth.power_levels import Level
from homeserver.protocol.events import Event
from homeserver.protocol.state_res.lookup import EventLookup

_Rank = tuple[Level, int, str]
"""Smaller comes first."""


def is_power_event(event: Event) -> bool:
    """Definition "Power events": those "that might remove someone's ability to do something in the room"."""
    if event.state_key is None:
        return False
    if event.type in ("m.room.power_levels", "m.room.join_rules"):
        return True
    return event.type == "m.room.member" and event.membership in ("leave", "ban") and event.sender != event.state_key


def with_auth_events_in(
    power_events: Iterable[Event], full_conflicted: AbstractSet[str], lookup: EventLookup
) -> list[Event]:
    """Step 1: enlarge X "by adding the events in the auth chain of P which also belong to the full conflicted set".

    The walk stays inside the full conflicted set, as in the servers we must agree with.
    """
    found = {event.event_id: event for event in power_events}
    to_visit = list(found.values())
    while to_visit:
        for event_id in to_visit.pop().auth_event_ids:
            if event_id in full_conflicted and event_id not in found:
                event = lookup.fetch(event_id)
                if event is not None:
                    found[event_id] = event
                    to_visit.append(event)
    return list(found.values())


def reverse_topological_power_ordering(events: Sequence[Event], lookup: EventLookup) -> list[Event]:
    """Definition "Reverse topological power ordering": Kahn's algorithm, taking the smallest of the candidates.

    Events whose auth events form a circle (possible in v2, where ids are not hashes) authorise nothing: left out.
    """
    by_id = {event.event_id: event for event in events}
    waiting_for: dict[str, int] = {}
    cited_by: dict[str, list[str]] = {}
    for event in events:
        auth_event_ids = {event_id for event_id in event.auth_event_ids if event_id in by_id}
        waiting_for[event.event_id] = len(auth_event_ids)
        for event_id in auth_event_ids:
            cited_by.setdefault(event_id, []).append(event.event_id)

    candidates = [_power_rank(by_id[event_id], lookup) for event_id, count in waiting_for.items() if count == 0]
    heapq.heapify(candidates)
    ordered: list[Event] = []
    while candidates:
        event_id = heapq.heappop(candidates)[2]
        ordered.append(by_id[event_id])
        for citing in cited_by.get(event_id, ()):
            waiting_for[citing] -= 1
            if waiting_for[citing] == 0:
                heapq.heappush(candidates, _power_rank(by_id[citing], lookup))
    return ordered


def _power_rank(event: Event, lookup: EventLookup) -> _Rank:
    """1. greater power level of the sender, 2. lesser origin_server_ts, 3. lesser event id."""
    return (-_sender_level(event, lookup), event.origin_server_ts, event.event_id)


def _sender_level(event: Event, lookup: EventLookup) -> Level:
    """The sender's power level "when looking at their respective auth_events"."""
    create = lookup.create_event(event)
    if create is None:
        return 0
    return lookup.power_levels(create, lookup.power_levels_event(event)).of_user(event.sender)


def mainline_ordering(events: Iterable[Event], power_levels_event_id: str | None, lookup: EventLookup) -> list[Event]:
    """Definition "Mainline ordering" based on the power levels event P (None: every position is infinite)."""
    positions = _mainline_positions(power_levels_event_id, lookup)

    def rank(event: Event) -> _Rank:
        # 1. greater mainline position (an earlier P_i), 2. lesser origin_server_ts, 3. lesser event id.
        return (-_mainline_position(event, positions, lookup), event.origin_server_ts, event.event_id)

    return sorted(events, key=rank)


def _mainline_positions(power_levels_event_id: str | None, lookup: EventLookup) -> dict[str, float]:
    """The mainline of P as {P_i: i}."""
    positions: dict[str, float] = {}
    event = None if power_levels_event_id is None else lookup.fetch(power_levels_event_id)
    while event is not None and event.event_id not in positions:
        positions[event.event_id] = len(positions)
        event = lookup.power_levels_event(event)
    return positions


def _mainline_position(event: Event, positions: dict[str, float], lookup: EventLookup) -> float:
    """The position of the first of e_1, e_2, ... that has one; remembered for all of them."""
    walked: dict[str, None] = {}
    step = lookup.power_levels_event(event)
    while step is not None and step.event_id not in positions and step.event_id not in walked:
        walked[step.event_id] = None
        step = lookup.power_levels_event(step)
    position = math.inf if step is None else positions.get(step.event_id, math.inf)
    positions.update(dict.fromkeys(walked, position))
    return position
