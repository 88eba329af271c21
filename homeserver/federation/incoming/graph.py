"""Which of some events is built on which, and which of them can be received."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Standing

PLACED = frozenset({Standing.IN_TIMELINE, Standing.SOFT_FAILED, Standing.REJECTED})
"""The state before and after such an event is known; that of an outlier is not."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is here of all that some events name."""

    standings: Mapping[str, Standing]

    def is_placed(self, event_id: str) -> bool:
        """Whether something can be built on it."""
        return self.standings.get(event_id) in PLACED

    def is_stored(self, event_id: str) -> bool:
        """Whether it can authorise something, as far as that is a question of being there."""
        return event_id in self.standings


def named_by(events: Iterable[Event]) -> set[str]:
    """All ids that somebody has to ask about: these events and what they cite."""
    return {
        event_id
        for event in events
        for event_id in (event.event_id, *event.prev_event_ids, *event.auth_event_ids)
    }  # fmt: skip


def missing_prevs(events: Mapping[str, Event], known: Known) -> list[str]:
    """What these are built on that is neither here nor among them, each once."""
    prevs = dict.fromkeys(prev for event in events.values() for prev in event.prev_event_ids)
    return [prev for prev in prevs if prev not in events and not known.is_placed(prev)]


def missing_auth(events: Mapping[str, Event], known: Known) -> list[str]:
    """What these are authorised by that is neither here nor among them, each once."""
    cited = dict.fromkeys(each for event in events.values() for each in event.auth_event_ids)
    return [each for each in cited if each not in events and not known.is_stored(each)]


def ends(events: Mapping[str, Event], missing: Collection[str]) -> list[str]:
    """Those that are built on something missing, the highest first."""
    wanted = set(missing)
    open_ends = [event for event in events.values() if not wanted.isdisjoint(event.prev_event_ids)]
    return [event.event_id for event in sorted(open_ends, key=lambda event: -event.depth)]


@dataclass(frozen=True, slots=True)
class Receivable:
    """`ready` in an order in which they can be received: what an event is built on comes before it. `stuck`: the others,
    with the reason.
    """

    ready: list[Event]
    stuck: dict[str, str]


def receivable(events: Mapping[str, Event], known: Known, told: Collection[str]) -> Receivable:
    """`told`: prev events whose state somebody has told us."""
    waiting = {event_id: _unmet(event, events) for event_id, event in events.items()}
    dependents: dict[str, list[str]] = {}
    for event_id, unmet in waiting.items():
        for each in unmet:
            dependents.setdefault(each, []).append(event_id)
    stuck = {event_id: why for event_id, event in events.items() if (why := _lacks(event, events, known, told))}
    # In the order in which they came, where nothing speaks against it.
    free = deque(event_id for event_id, unmet in waiting.items() if not unmet and event_id not in stuck)
    ready: list[Event] = []
    while free:
        event_id = free.popleft()
        ready.append(events[event_id])
        for dependent in dependents.get(event_id, ()):
            waiting[dependent].discard(event_id)
            if not waiting[dependent] and dependent not in stuck:
                free.append(dependent)
    placed = {event.event_id for event in ready}
    why = "What it is built on could not be received"
    return Receivable(ready, {each: stuck.get(each, why) for each in events if each not in placed})


def _unmet(event: Event, events: Mapping[str, Event]) -> set[str]:
    """Those among the others that have to come first."""
    return {each for each in (*event.prev_event_ids, *event.auth_event_ids) if each in events}


def _lacks(event: Event, events: Mapping[str, Event], known: Known, told: Collection[str]) -> str:
    """What is missing for this event by itself."""
    if any(prev not in events and prev not in told and not known.is_placed(prev) for prev in event.prev_event_ids):
        return "Events that it is built on could not be had"
    if any(each not in events and not known.is_stored(each) for each in event.auth_event_ids):
        return "Events that authorise it could not be had"
    return ""
