"""Power levels of a room as a value: parsed once, asked often. The caller keeps it as long as the room's create and
power levels events stay the same.

Levels are integers; `math.inf` is the level of a room creator since v12.
Source: `m.room.power_levels` (client-server API), and "Deprecated event content schemas" of room versions 1 to 9.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.auth.creators import room_creators
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion

Level = float
"""An integer, or `math.inf` for room creators."""

CREATOR_LEVEL: Level = math.inf
"""Since v12: "room creators have infinitely high power level"."""
CREATOR_LEVEL_WITHOUT_POWER_LEVELS = 100
"""Until v11: "If the room contains no `m.room.power_levels` event, the room's creator has a power level of 100"."""

DEFAULT_LEVELS: Mapping[str, int] = {
    "users_default": 0,
    "events_default": 0,
    "state_default": 50,
    "ban": 50,
    "kick": 50,
    "redact": 50,
    "invite": 0,
}
"""What a level is when the content does not say, or the room has no power levels event."""
DEFAULT_NOTIFICATION_LEVEL = 50

_UNREADABLE_REQUIREMENT = math.inf
"""Until v9 a level may be nonsense ("ban": "banana"): then nobody reaches it."""
_UNREADABLE_USER_LEVEL = -math.inf
"""Likewise for a user's level: then it reaches nothing."""

_INTEGER_IN_STRING = re.compile(r"\s*[+-]?[0-9]+\s*")


@dataclass(frozen=True, slots=True)
class PowerLevels:
    """The levels of one room: what users have, what actions need. `creators` is empty before v12."""

    users: Mapping[str, Level]
    users_default: Level
    events: Mapping[str, Level]
    events_default: Level
    state_default: Level
    ban: Level
    kick: Level
    redact: Level
    invite: Level
    notifications: Mapping[str, Level]
    creators: frozenset[str]

    def of_user(self, user_id: str) -> Level:
        """The level a user has."""
        if user_id in self.creators:
            return CREATOR_LEVEL
        return self.users.get(user_id, self.users_default)

    def to_send(self, event_type: str, *, is_state: bool) -> Level:
        """The *required power level* of an event type; membership events are ruled by invite, kick and ban instead."""
        return self.events.get(event_type, self.state_default if is_state else self.events_default)

    def to_notify(self, key: str = "room") -> Level:
        """The level needed to trigger a notification such as `@room`."""
        return self.notifications.get(key, DEFAULT_NOTIFICATION_LEVEL)


def power_levels_in_room(create: Event, power_levels_event: Event | None, version: RoomVersion) -> PowerLevels:
    """The levels in force, from the create event and the power levels event of the room state, if it has one."""
    creators = room_creators(create, version)
    if power_levels_event is not None:
        content = power_levels_event.content
    elif version.creators_have_infinite_power:
        content = {}
    else:
        content = {"users": dict.fromkeys(creators, CREATOR_LEVEL_WITHOUT_POWER_LEVELS)}
    return parse_power_levels(content, version, creators if version.creators_have_infinite_power else frozenset())


def parse_power_levels(
    content: Mapping[str, Any], version: RoomVersion, creators: frozenset[str] = frozenset()
) -> PowerLevels:
    """Read the content of `m.room.power_levels`. Never raises: what cannot be read lets nobody do anything."""

    def required(key: str) -> Level:
        return _level(content.get(key, DEFAULT_LEVELS[key]), version, _UNREADABLE_REQUIREMENT)

    users_default = content.get("users_default", DEFAULT_LEVELS["users_default"])
    return PowerLevels(
        users=_levels(content.get("users"), version, _UNREADABLE_USER_LEVEL),
        users_default=_level(users_default, version, _UNREADABLE_USER_LEVEL),
        events=_levels(content.get("events"), version, _UNREADABLE_REQUIREMENT),
        events_default=required("events_default"),
        state_default=required("state_default"),
        ban=required("ban"),
        kick=required("kick"),
        redact=required("redact"),
        invite=required("invite"),
        notifications=_levels(content.get("notifications"), version, _UNREADABLE_REQUIREMENT),
        creators=creators,
    )


def read_level(value: object, version: RoomVersion) -> int | None:
    """The integer a level stands for in this room version, None when it stands for none.

    An integer always; until v9 also a string that holds one, until v5 also a finite float (truncated).
    """
    if type(value) is int:  # not a bool
        return value
    if version.integer_power_levels:
        return None
    if isinstance(value, str):
        return _integer_in_string(value)
    if isinstance(value, float) and not version.strict_canonical_json and math.isfinite(value):
        return int(value)
    return None


def _integer_in_string(text: str) -> int | None:
    if _INTEGER_IN_STRING.fullmatch(text) is None:
        return None
    try:
        return int(text)
    except ValueError:  # more digits than Python is willing to read
        return None


def _level(value: object, version: RoomVersion, unreadable: Level) -> Level:
    level = read_level(value, version)
    return unreadable if level is None else level


def _levels(values: object, version: RoomVersion, unreadable: Level) -> Mapping[str, Level]:
    """A mapping to levels; shared with the event, not copied, when all values are integers (rooms have thousands)."""
    if not isinstance(values, dict):
        return {}
    if all(type(value) is int for value in values.values()):
        return values
    return {key: _level(value, version, unreadable) for key, value in values.items()}
