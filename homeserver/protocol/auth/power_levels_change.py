"""Rule 10: `m.room.power_levels`. Nobody hands out more power than they have, nor takes it from their equals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homeserver.protocol.auth.creators import room_creators
from homeserver.protocol.auth.power_levels import DEFAULT_LEVELS, Level, read_level
from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import RoomState
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.room_versions import RoomVersion

Change = tuple[str, int | None, int | None]
"""(what, current level, new level); None where there was or will be no entry."""


def check_power_levels(event: Event, state: RoomState) -> None:
    """Rule 10, complete: an event that passes is allowed."""
    version = state.version
    _check_form(event.content, version)
    if version.creators_have_infinite_power:
        _check_names_no_creator(event.content, state)
    current = state.fetch("m.room.power_levels", "")
    if current is None:
        return  # 10.5
    sender_level = state.power_levels.of_user(event.sender)
    _check_single_levels(current.content, event.content, sender_level, version)
    _check_entries("events", current.content, event.content, sender_level, version)
    if version.limit_notifications_power_levels:
        _check_entries("notifications", current.content, event.content, sender_level, version)
    _check_users(event.sender, current.content, event.content, sender_level, version)


def _check_form(content: Mapping[str, Any], version: RoomVersion) -> None:
    """Rules 10.1 to 10.3. Before v10 only the users are looked at."""
    if version.integer_power_levels:
        for key in DEFAULT_LEVELS:
            if key in content and read_level(content[key], version) is None:
                reject("10.1", f"`{key}` must be an integer.")
        for key in ("events", "notifications"):
            if key in content and not _maps_to_levels(content[key], version):
                reject("10.2", f"`{key}` must map names to integers.")
    users = content.get("users", {})
    if not _maps_to_levels(users, version) or not all(map(is_user_id, users)):
        reject("10.3", "`users` must map user ids to integers.")


def _maps_to_levels(values: object, version: RoomVersion) -> bool:
    return isinstance(values, dict) and all(read_level(value, version) is not None for value in values.values())


def _check_names_no_creator(content: Mapping[str, Any], state: RoomState) -> None:
    """Rule 10.4 (since v12)."""
    users = content.get("users", {})
    for creator in room_creators(state.create, state.version):
        if creator in users:
            reject("10.4", f"{creator} is a creator of the room and cannot be given a power level.")


def _check_single_levels(
    current: Mapping[str, Any], new: Mapping[str, Any], sender_level: Level, version: RoomVersion
) -> None:
    """Rule 10.6. A level that was not set has no current value, one that is removed has no new value."""
    current_levels = {key: current[key] for key in DEFAULT_LEVELS if key in current}
    new_levels = {key: new[key] for key in DEFAULT_LEVELS if key in new}
    for key, old_level, new_level in _changes(current_levels, new_levels, version):
        if old_level is not None and old_level > sender_level:
            reject("10.6.1", f"`{key}` is {old_level}, above the sender's own power level.")
        if new_level is not None and new_level > sender_level:
            reject("10.6.2", f"`{key}` cannot be set to {new_level}, above the sender's own power level.")


def _check_entries(
    mapping: str, current: Mapping[str, Any], new: Mapping[str, Any], sender_level: Level, version: RoomVersion
) -> None:
    """Rules 10.7 and 10.8; `notifications` since v6."""
    for key, old_level, new_level in _changes(_mapping(current, mapping), _mapping(new, mapping), version):
        if old_level is not None and old_level > sender_level:
            reject("10.7.1", f"`{mapping}` of {key[:255]} is {old_level}, above the sender's own power level.")
        if new_level is not None and new_level > sender_level:
            reject("10.8.1", f"`{mapping}` of {key[:255]} cannot be {new_level}, above the sender's own power level.")


def _check_users(
    sender: str, current: Mapping[str, Any], new: Mapping[str, Any], sender_level: Level, version: RoomVersion
) -> None:
    """Rules 10.9 and 10.10. Everybody may lower themselves."""
    for user_id, old_level, new_level in _changes(_mapping(current, "users"), _mapping(new, "users"), version):
        if old_level is not None and user_id != sender and old_level >= sender_level:
            reject("10.9.1", f"{user_id} has the sender's power level or a higher one, which the sender cannot change.")
        if new_level is not None and new_level > sender_level:
            reject("10.10.1", f"{user_id} cannot be given power level {new_level}, above the sender's own.")


def _changes(current: Mapping[str, Any], new: Mapping[str, Any], version: RoomVersion) -> Iterator[Change]:
    """Entries that were added, changed or removed; "50" and 50 are the same level."""
    if current == new:
        return
    for key in current.keys() | new.keys():
        old_level = _known_level(key, current, version)
        new_level = _known_level(key, new, version)
        if old_level != new_level:
            yield key, old_level, new_level


def _known_level(key: str, levels: Mapping[str, Any], version: RoomVersion) -> int | None:
    if key not in levels:
        return None
    level = read_level(levels[key], version)
    if level is None:
        # Until v9 nonsense is not refused by its form. Every server fails to compare it, so every server rejects.
        reject("10.6", f"The power level of {key[:255]} cannot be read.")
    return level


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
