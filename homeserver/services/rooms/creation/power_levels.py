"""The power levels of a new room."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeserver.protocol.room_versions import RoomVersion

# What every member may do though it is state: say that he is in a call (MatrixRTC), in all the names clients use.
CALL_MEMBER_TYPES = ("m.rtc.member", "org.matrix.msc3401.call.member", "org.matrix.msc4143.rtc.member")

# What decides over the room itself needs more than moderators have.
EVENT_LEVELS = {
    "m.room.name": 50,
    "m.room.avatar": 50,
    "m.room.canonical_alias": 50,
    "m.room.power_levels": 100,
    "m.room.history_visibility": 100,
    "m.room.server_acl": 100,
    "m.room.encryption": 100,
    "m.room.tombstone": 100,
}
# Since v12 "the power level for sending m.room.tombstone events MUST explicitly be higher than state_default".
TOMBSTONE_LEVEL_OF_CREATORS = 150


def power_levels_of_new_room(
    version: RoomVersion, creator: str, trusted: Iterable[str], *, everybody_invites: bool, override: dict[str, Any]
) -> dict[str, Any]:
    """The content of the first m.room.power_levels event. `trusted` get as much as the creator."""
    events = {**EVENT_LEVELS, **dict.fromkeys(CALL_MEMBER_TYPES, 0)}
    users: dict[str, int] = {}
    if version.creators_have_infinite_power:
        events["m.room.tombstone"] = TOMBSTONE_LEVEL_OF_CREATORS
    else:
        users = dict.fromkeys((creator, *trusted), 100)
    return {
        "users": users,
        "users_default": 0,
        "events": events,
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 0 if everybody_invites else 50,
        # "applied on top of the generated event content"
        **override,
    }
