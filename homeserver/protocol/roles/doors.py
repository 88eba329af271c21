"""Who comes into a channel, and what newcomers read: join rules and the visibility of history.

Of the rules that let the right people in, the one that a channel has already is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from homeserver.protocol.roles.effective import in_channel
from homeserver.protocol.roles.permissions import Permission
from homeserver.protocol.roles.role_state import Overrides, RoleSet
from homeserver.protocol.roles.rooms import HISTORY, JOIN_RULES, Content, RoomNow

CLOSED: Final = frozenset({"invite", "knock", "private"})
WIDE: Final = frozenset({"shared", "world_readable"})


def is_open(roles: RoleSet, overrides: Overrides) -> bool:
    """Whether all members of the space see the channel."""
    return Permission.SEE in in_channel(roles, (), overrides)


def join_rules(room: RoomNow, space_id: str, *, opened: bool) -> Content:
    """Open: members of the space come in by themselves. Closed: by invitation."""
    current = room.content(JOIN_RULES)
    rule = current.get("join_rule")
    if not opened:
        return current if rule in CLOSED else {"join_rule": "invite"}
    if rule == "public" or _lets_in(current, space_id) or not room.version.restricted_joins:
        return current
    return {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space_id}]}


def can_open(room: RoomNow) -> bool:
    """Rooms from before version 8 know no way in for members of a space; they stay as closed as they are."""
    return room.version.restricted_joins or room.content(JOIN_RULES).get("join_rule") == "public"


def history(room: RoomNow, roles: RoleSet, overrides: Overrides) -> Content:
    """It is the same for all of a channel: where one who sees it may not read what was before him, nobody may."""
    current = room.content(HISTORY)
    is_wide = current.get("history_visibility", "shared") in WIDE
    if all_read(roles, overrides):
        return current if is_wide else {"history_visibility": "shared"}
    return {"history_visibility": "joined"} if is_wide else current


def all_read(roles: RoleSet, overrides: Overrides) -> bool:
    """Whether whoever sees the channel may read its history."""
    return all(Permission.READ_HISTORY in may for may in seeing(roles, overrides).values())


def seeing(roles: RoleSet, overrides: Overrides) -> dict[str, frozenset[Permission]]:
    """What each role that sees the channel may there."""
    held: Iterable[tuple[str, list[str]]] = [(each.role_id, [each.role_id]) for each in (*roles.roles, roles.everyone)]
    found = {role_id: in_channel(roles, each, overrides) for role_id, each in held}
    return {role_id: may for role_id, may in found.items() if Permission.SEE in may}


def _lets_in(content: Content, space_id: str) -> bool:
    allow: Any = content.get("allow")
    return content.get("join_rule") in ("restricted", "knock_restricted") and any(
        isinstance(each, dict) and each.get("room_id") == space_id
        for each in (allow if isinstance(allow, list) else [])
    )
