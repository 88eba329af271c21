"""Definition "Iterative auth checks"."""

from __future__ import annotations

from collections.abc import Iterable

from homeserver.protocol.auth.dependent import check_state_dependent
from homeserver.protocol.auth.rejection import AuthRejection
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.state_res.layers import LayeredState
from homeserver.protocol.state_res.lookup import EventLookup


def iterative_auth_checks(state: LayeredState, events: Iterable[Event], lookup: EventLookup) -> None:
    """Apply each event to the state if the authorisation rules allow it there, else ignore it."""
    for event in events:
        if event.state_key is not None and is_allowed(event, state, lookup):
            state.changes[event.key] = event.event_id


def is_allowed(event: Event, state: LayeredState, lookup: EventLookup) -> bool:
    """Whether the authorisation rules allow the event in this state, completed by the event's own auth events.

    "If a (event_type, state_key) key that is required for checking the authorisation rules is not present in the state,
    then the appropriate state event from the event's auth_events is used if the auth event is not rejected."
    """
    fallback: dict[StateKey, Event] | None = None

    def fetch(event_type: str, state_key: str) -> Event | None:
        nonlocal fallback
        event_id = state.get((event_type, state_key))
        if event_id is not None:
            return lookup.fetch(event_id)
        if fallback is None:
            fallback = _accepted_auth_events(event, lookup)
        return fallback.get((event_type, state_key))

    create = fetch("m.room.create", "")
    levels = None if create is None else lookup.power_levels(create, fetch("m.room.power_levels", ""))
    try:
        check_state_dependent(event, lookup.version, fetch, levels)
    except AuthRejection:
        return False
    return True


def _accepted_auth_events(event: Event, lookup: EventLookup) -> dict[StateKey, Event]:
    rejected = lookup.rejected_event_ids
    accepted = {
        auth_event.key: auth_event
        for auth_event in lookup.auth_events(event)
        if auth_event.state_key is not None and auth_event.event_id not in rejected
    }
    if lookup.version.room_id_is_create_event_id:  # since v12 the room id stands for it, not an auth event
        create = lookup.create_event(event)
        if create is not None and create.event_id not in rejected:
            accepted[create.key] = create
    return accepted
