"""Which events are allowed by their own auth events: the only state that outliers have."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from homeserver.protocol.auth import AuthRejection, check_state_dependent, check_state_independent
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.state_res import EventLookup
from homeserver.services.foreign_events.knowledge import Unfounded

log = logging.getLogger(__name__)


def by_auth_events(events: Mapping[str, Event]) -> list[Event]:
    """Events after those of them that they cite; those that cite each other in a circle, or such events, are left out."""
    waiting_for = {event_id: _cited_among(event, events) for event_id, event in events.items()}
    cited_by: dict[str, list[str]] = {}
    for event_id, cited in waiting_for.items():
        for each in cited:
            cited_by.setdefault(each, []).append(event_id)
    missing = {event_id: len(cited) for event_id, cited in waiting_for.items()}
    ready = [event_id for event_id, count in missing.items() if count == 0]
    # Since room version 12 all rest on the create event, which none of them cites.
    ready.sort(key=lambda event_id: events[event_id].type == "m.room.create")
    ordered: list[Event] = []
    while ready:
        event_id = ready.pop()
        ordered.append(events[event_id])
        for citing in cited_by.get(event_id, ()):
            missing[citing] -= 1
            if missing[citing] == 0:
                ready.append(citing)
    return ordered


def _cited_among(event: Event, events: Mapping[str, Event]) -> set[str]:
    return {event_id for event_id in event.auth_event_ids if event_id in events}


@dataclass(slots=True)
class AuthChecks:
    """Checks events of one room against the auth events they name. `known`: the events by id, as far as they are here."""

    room_id: str
    version: RoomVersion
    known: dict[str, Event]
    rejected: set[str]
    _lookup: EventLookup = field(init=False)

    def __post_init__(self) -> None:
        self._lookup = EventLookup(self.version, self.known.get, self.rejected)

    def independently(self, event: Event) -> list[Event]:
        """Step 4 of the receipt: by itself and its auth events; returns these. Raises AuthRejection, Unfounded."""
        auth_events = self._auth_events(event)
        create = self.known.get("$" + self.room_id[1:]) if self.version.room_id_is_create_event_id else None
        if self.version.room_id_is_create_event_id and create is None and event.type != "m.room.create":
            raise Unfounded("The create event of its room is not known")
        check_state_independent(event, auth_events, create_event=create, rejected_event_ids=self.rejected)
        return auth_events if create is None else [*auth_events, create]

    def completely(self, event: Event) -> None:
        """The same, and the rules that look at state, with the state that its auth events make."""
        state = {auth_event.key: auth_event for auth_event in self.independently(event)}
        self.in_state(event, state)

    def in_state(self, event: Event, state: Mapping[StateKey, Event]) -> None:
        """The rules that look at state. Raises AuthRejection."""

        def fetch(event_type: str, state_key: str) -> Event | None:
            return state.get((event_type, state_key))

        create = fetch("m.room.create", "")
        levels = None
        if create is not None:
            levels = self._lookup.power_levels(create, fetch("m.room.power_levels", ""))
        check_state_dependent(event, self.version, fetch, levels)

    def _auth_events(self, event: Event) -> list[Event]:
        found: list[Event] = []
        for event_id in event.auth_event_ids:
            auth_event = self.known.get(event_id)
            if auth_event is None:
                raise Unfounded(f"Its auth event {event_id} is not known")
            found.append(auth_event)
        return found


@dataclass(frozen=True, slots=True)
class Judged:
    """An event and why it was rejected; None: it is allowed."""

    event: Event
    rejection: str | None


def judge(checks: AuthChecks, ordered: Sequence[Event]) -> tuple[list[Judged], list[tuple[Event, str]]]:
    """Check events in order, each when those it cites have been: (to be kept, not to be kept and why)."""
    kept: list[Judged] = []
    refused: list[tuple[Event, str]] = []
    for event in ordered:
        try:
            rejection = _rejection(checks, event)
        except Unfounded as missing:
            refused.append((event, str(missing)))
            continue
        checks.known[event.event_id] = event
        if rejection is not None:
            checks.rejected.add(event.event_id)
        kept.append(Judged(event, rejection))
    return kept, refused


def _rejection(checks: AuthChecks, event: Event) -> str | None:
    try:
        checks.completely(event)
    except AuthRejection as rejection:
        return str(rejection)
    except Unfounded:
        raise
    except Exception:
        # Whatever strangers have found to write into an event, the others of the same request are not harmed.
        log.exception("could not check the event %r of %r", event.event_id, event.room_id)
        return "It could not be checked"
    return None
