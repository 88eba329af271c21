"""The rules that look at the room state, in the order of the specification: 1, 4 to 11."""

from __future__ import annotations

from homeserver.protocol.auth.aliases import check_aliases
from homeserver.protocol.auth.create import check_create
from homeserver.protocol.auth.general import (
    check_federation,
    check_required_level,
    check_sender_joined,
    check_state_key_owner,
)
from homeserver.protocol.auth.member import check_member
from homeserver.protocol.auth.power_levels import PowerLevels
from homeserver.protocol.auth.power_levels_change import check_power_levels
from homeserver.protocol.auth.redaction import check_redaction
from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import FetchState, RoomState
from homeserver.protocol.auth.third_party_invite import check_third_party_invite
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion


def check_state_dependent(
    event: Event, version: RoomVersion, fetch: FetchState, power_levels: PowerLevels | None = None
) -> None:
    """Check an event against the room state that `fetch` reads; raises AuthRejection naming the rule.

    Runs on every send: hand over `power_levels` (`power_levels_in_room` of the same state) to spare parsing them.
    """
    event_type = event.type
    if event_type == "m.room.create":
        check_create(event, version)  # 1
        return
    create = fetch("m.room.create", "")
    if create is None:
        reject("2", "The room has no create event.")  # until v11: rule 2.4
    state = RoomState(version, create, fetch, power_levels)
    check_federation(event, create)  # 4
    if event_type == "m.room.member":
        check_member(event, state)  # 5
    elif event_type == "m.room.aliases" and version.special_aliases_auth:
        check_aliases(event)  # v1 4
    else:
        _check_event_of_a_member(event, state)


def _check_event_of_a_member(event: Event, state: RoomState) -> None:
    """Rules 6 to 11: everything but membership."""
    check_sender_joined(event, state)  # 6
    if event.type == "m.room.third_party_invite":
        check_third_party_invite(event, state)  # 7
        return
    check_required_level(event, state)  # 8
    check_state_key_owner(event, state)  # 9
    if event.type == "m.room.power_levels":
        check_power_levels(event, state)  # 10
    elif event.type == "m.room.redaction" and state.version.special_redaction_auth:
        check_redaction(event, state)  # v1 11
