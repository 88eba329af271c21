"""Power levels, carried over into another room version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeserver.protocol.auth.power_levels import DEFAULT_LEVELS, Level, read_level
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.rooms.creation.power_levels import TOMBSTONE_LEVEL_OF_CREATORS

MAX_LEVEL = 2**53 - 1
CREATOR_LEVEL = 100
DEFAULT_NEW_LEVEL = 50


def carried_power_levels(
    old: Mapping[str, Any],
    old_version: RoomVersion,
    new_version: RoomVersion,
    *,
    old_creators: frozenset[str],
    new_creators: frozenset[str],
) -> dict[str, Any]:
    """The content of the new room's power levels. Levels that the old version read from strings become integers.

    Creators stand in no list since v12; where they were creators and are users again, they get what lets them lead.
    """
    content: dict[str, Any] = {key: value for key, value in old.items() if key not in (*DEFAULT_LEVELS, *_MAPPINGS)}
    content |= _readable({key: old[key] for key in DEFAULT_LEVELS if key in old}, old_version)
    for name in _MAPPINGS:
        values = old.get(name)
        if isinstance(values, dict):
            content[name] = _readable(values, old_version)
    users = content.setdefault("users", {})
    if new_version.creators_have_infinite_power:
        content["users"] = {user_id: level for user_id, level in users.items() if user_id not in new_creators}
        _keep_tombstone_for_creators(content)
    elif old_version.creators_have_infinite_power:
        leading = max([CREATOR_LEVEL, *_levels_that_rule(content)])
        content["users"] = {**users, **dict.fromkeys(sorted(old_creators | new_creators), leading)}
    return content


_MAPPINGS = ("users", "events", "notifications")


def _readable(levels: Mapping[str, Any], version: RoomVersion) -> dict[str, int]:
    read = {key: read_level(value, version) for key, value in levels.items()}
    return {key: max(-MAX_LEVEL, min(level, MAX_LEVEL)) for key, level in read.items() if level is not None}


def _keep_tombstone_for_creators(content: dict[str, Any]) -> None:
    """Since v12 "the power level for sending m.room.tombstone events MUST explicitly be higher than state_default"."""
    events = content.setdefault("events", {})
    lowest = max(TOMBSTONE_LEVEL_OF_CREATORS, content.get("state_default", DEFAULT_NEW_LEVEL) + 1)
    events["m.room.tombstone"] = max(lowest, events.get("m.room.tombstone", 0))


def _levels_that_rule(content: Mapping[str, Any]) -> list[int]:
    return [
        *(content[key] for key in DEFAULT_LEVELS if key in content),
        *content.get("events", {}).values(),
        *content.get("users", {}).values(),
    ]


def highest_needed(content: Mapping[str, Any]) -> int:
    """What somebody needs to set all of a room's state and its power levels."""
    return max([DEFAULT_NEW_LEVEL, *_levels_that_rule(content)])


def raised(content: Mapping[str, Any], version: RoomVersion, level_of_sender: Level) -> dict[str, Any] | None:
    """The old room's levels, so that nobody but moderators speaks or invites; None where that is so already.

    "setting events_default and invite to the greater of 50 and users_default + 1" (Room upgrades, 6).
    """
    users_default = read_level(content.get("users_default", 0), version) or 0
    wanted = max(50, users_default + 1)
    changed = dict(content)
    for key in ("events_default", "invite"):
        level = read_level(content.get(key, DEFAULT_LEVELS[key]), version)
        if level is None or (level < wanted and level <= level_of_sender):
            changed[key] = wanted
    return None if changed == content or wanted > level_of_sender else changed
