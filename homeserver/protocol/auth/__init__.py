"""Authorisation: which events a room accepts, for every room version. See README.md for the map of rules to files."""

from __future__ import annotations

from homeserver.protocol.auth.creators import room_creators
from homeserver.protocol.auth.dependent import check_state_dependent
from homeserver.protocol.auth.independent import check_state_independent
from homeserver.protocol.auth.power_levels import PowerLevels, power_levels_in_room
from homeserver.protocol.auth.rejection import AuthRejection
from homeserver.protocol.auth.room_state import FetchState
from homeserver.protocol.auth.selection import auth_types_for_event

__all__ = [
    "AuthRejection",
    "FetchState",
    "PowerLevels",
    "auth_types_for_event",
    "check_state_dependent",
    "check_state_independent",
    "power_levels_in_room",
    "room_creators",
]
