"""Names and colours of levels, as clients show them beside people."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.roles.levels import OWNER, Ladder, level_of_rank
from homeserver.protocol.roles.role_state import Role
from homeserver.protocol.roles.rooms import TAGS, Content, RoomNow

_OWNER_TAG = {"name": "Owner"}


def tags(room: RoomNow, ladder: Ladder) -> dict[str, Any]:
    """One tag for each role; those of owners' levels stay as somebody has made them."""
    roles = ladder.roles
    said = {key: tag for key, tag in room.content(TAGS).items() if _is_owners(key)}
    said = said or {str(OWNER): _OWNER_TAG}
    for role in reversed(roles.roles):
        # Where a role has a level of its own in this channel (the muted), the channel's word goes.
        said[str(ladder.of_role.get(role.role_id, level_of_rank(roles.rank(role.role_id), len(roles.roles))))] = _tag(
            role
        )
    said["0"] = _tag(roles.everyone)
    return said


def ruled_tags(content: Content) -> dict[str, Any]:
    """What roles rule of them."""
    return {key: tag for key, tag in content.items() if not _is_owners(key)}


def rewritten_tags(current: Content, after: Content) -> dict[str, Any]:
    """The tags of roles as `after` has them, those of owners as they stand now, or as `after` has them where none stand."""
    owners = {key: tag for key, tag in current.items() if _is_owners(key)}
    return {**after, **owners} if current else dict(after)


def _tag(role: Role) -> dict[str, Any]:
    said: dict[str, Any] = {"name": role.name}
    if role.color is not None:
        said["color"] = role.color
    if role.icon is not None:
        said["icon"] = {"key": role.icon}
    return said


def _is_owners(key: str) -> bool:
    return len(key) < 20 and key.isdecimal() and int(key) >= OWNER
