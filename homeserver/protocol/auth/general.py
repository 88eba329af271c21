"""Rules for events of any type: 4 (federation), 6 (membership), 8 (required power level), 9 (other users' state)."""

from __future__ import annotations

from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import RoomState
from homeserver.protocol.events import Event


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


def check_state_key_owner(event: Event) -> None:
    """Rule 9: state kept under a user's id is that user's."""
    if event.state_key is not None and event.state_key.startswith("@") and event.state_key != event.sender:
        reject("9", "State under a user's id can be set only by that user.")
