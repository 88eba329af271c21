"""The rules that need no room state: rules 1 to 3, and 5.2. Checked once, when an event arrives."""

from __future__ import annotations

from collections.abc import Container, Sequence

from homeserver.protocol.auth.create import check_create
from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.selection import CREATE, auth_types_for_event
from homeserver.protocol.events import Event, StateKey

_NOTHING: frozenset[str] = frozenset()


def check_state_independent(
    event: Event,
    auth_events: Sequence[Event],
    *,
    create_event: Event | None = None,
    rejected_event_ids: Container[str] = _NOTHING,
) -> None:
    """Check what can be said of an event from itself and its auth events; raises AuthRejection.

    `auth_events` are the events named by `event.auth_event_ids`, all of them. `create_event` is that of the room,
    needed since v12 where it is no auth event. `rejected_event_ids` are those among them that were rejected.
    The signatures must have been verified (`signing.py`); here is only asked whether one is there.
    """
    if event.type == "m.room.create":
        check_create(event, event.room_version)
        return
    if event.room_version.room_id_is_create_event_id:
        _check_room_id(event, create_event, rejected_event_ids)
    _check_auth_events(event, auth_events, rejected_event_ids)
    if event.type == "m.room.member":
        _check_authorising_server_signed(event)


def _check_room_id(event: Event, create_event: Event | None, rejected_event_ids: Container[str]) -> None:
    """Rule 2 (since v12): the room id is the id of an accepted create event, with another sigil."""
    if create_event is None or create_event.type != "m.room.create" or create_event.event_id[1:] != event.room_id[1:]:
        reject("2", "The room id is not that of a known create event.")
    if create_event.event_id in rejected_event_ids:
        reject("2", "The create event of the room was rejected.")


def _check_auth_events(event: Event, auth_events: Sequence[Event], rejected_event_ids: Container[str]) -> None:
    """Rule 3 (until v11: rule 2)."""
    allowed = auth_types_for_event(event.type, event.sender, event.state_key, event.content, event.room_version)
    seen: set[StateKey] = set()
    for auth_event in auth_events:
        if auth_event.state_key is None:
            reject("3.2", f"The auth event {auth_event.event_id} is not a state event.")
        if auth_event.key in seen:
            reject("3.1", f"Two auth events are for the same state: {auth_event.key}.")
        if auth_event.key not in allowed:
            reject("3.2", f"The auth event {auth_event.event_id} does not authorise such an event.")
        if auth_event.event_id in rejected_event_ids:
            reject("3.3", f"The auth event {auth_event.event_id} was rejected.")
        if auth_event.room_id != event.room_id:
            reject("3.5", f"The auth event {auth_event.event_id} is of another room.")
        seen.add(auth_event.key)
    if event.room_version.create_event_is_auth_event and CREATE not in seen:
        reject("v1 2.4", "The create event is not among the auth events.")


def _check_authorising_server_signed(event: Event) -> None:
    """Rule 5.2 (since v8): the server that lets a user into a restricted room must have signed that."""
    key = "join_authorised_via_users_server"
    if not event.room_version.restricted_joins or key not in event.content:
        return
    authoriser, signatures = event.content[key], event.pdu.get("signatures")
    server = authoriser.partition(":")[2] if isinstance(authoriser, str) else ""
    if not server or not isinstance(signatures, dict) or not signatures.get(server):
        reject("5.2.1", "The server of the user who authorised the join has not signed it.")
