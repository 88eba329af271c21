"""Rules for events of any type: 4 (federation), 6 (membership), 8 (required power level), 9 (other users' state)."""

from __future__ import annotations

from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import RoomState
from homeserver.protocol.event_format import MAX_FIELD_LENGTH
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_user_id, utf8_length


def check_federation(event: Event, create: Event) -> None:
    """Rule 4: a room made with `m.federate: false` is for users of one server."""
    if create.content.get("m.federate") is False and event.sender_server != create.sender_server:
        reject("4", "This room is only for users of the server it was made on.")


def check_sender_joined(event: Event, state: RoomState) -> None:
    """Rule 6: only members speak."""
    if state.membership(event.sender) != "join":
        reject("6", f"{event.sender} is not in the room.")


def check_required_level(event: Event, state: RoomState) -> None:
    """Rule 8: the event type's required power level."""
    levels = state.power_levels
    required = levels.to_send(event.type, is_state=event.state_key is not None)
    if required > levels.of_user(event.sender):
        reject("8", f"{event.sender} needs power level {required} to send {event.type}.")


def check_state_key_owner(event: Event, state: RoomState) -> None:
    """Rule 9: state kept under a user's id is that user's."""
    if event.state_key is None:
        return
    if state.version.owned_state:
        _check_owned_state(event, event.state_key, state)
    elif event.state_key.startswith("@") and event.state_key != event.sender:
        reject("9", "State under a user's id can be set only by that user.")


def _check_owned_state(event: Event, state_key: str, state: RoomState) -> None:
    """MSC3757: rule 8 there, in three steps and "Otherwise"."""
    if not state_key.startswith("@"):
        if utf8_length(state_key) > MAX_FIELD_LENGTH:
            reject("9", "A state key without a user's id is too long.")
        return
    owner = owner_of_state(state_key)
    if not is_user_id(owner):
        reject("9", "The state key begins neither with a user's id nor with one and an underscore.")
    if utf8_length(state_key[len(owner) :]) > MAX_FIELD_LENGTH + 1:
        reject("9", "The state key is too long after the user's id.")
    levels = state.power_levels
    if owner != event.sender and levels.of_user(event.sender) <= levels.of_user(owner):
        reject("9", "State under a user's id can be set only by that user, and by those who have more power.")


def owner_of_state(state_key: str) -> str:
    """MSC3757: "the prefix of the `state_key` before the first `_` that follows the first `:` (or end of string)"."""
    localpart, colon, rest = state_key.partition(":")
    return localpart + colon + rest.partition("_")[0]
