"""Who is to be in a channel: invited, put out, kept out, or let in again."""

from __future__ import annotations

from typing import Any, Final

from homeserver.protocol.roles.effective import in_channel
from homeserver.protocol.roles.permissions import Permission
from homeserver.protocol.roles.role_state import Overrides, RoleSet
from homeserver.protocol.roles.rooms import BY_ROLES, MEMBER, Change, RoomNow, Space

LEAVE: Final[dict[str, Any]] = {"membership": "leave"}
INVITE: Final[dict[str, Any]] = {"membership": "invite"}
BAN: Final[dict[str, Any]] = {"membership": "ban", BY_ROLES: True}


def memberships(space: Space, room: RoomNow, roles: RoleSet, overrides: Overrides, *, opened: bool) -> list[Change]:
    """Open channels are joined by who wants to; those who may not see them are banned. Closed ones: by invitation.

    The space itself is nobody's to be put out of, and owners stay where they are.
    """
    if room.is_root:
        return []
    found = []
    blind = _blind(space, roles, overrides)
    for user_id in sorted((space.people | room.members.keys()) - room.owners()):
        belongs = user_id in space.people
        sees = user_id not in blind if belongs else opened
        after = _wanted(room, user_id, sees=sees, opened=opened, belongs=belongs)
        if after is not None:
            found.append(Change(room.room_id, MEMBER, user_id, _now(room, user_id), after))
    return found


def _blind(space: Space, roles: RoleSet, overrides: Overrides) -> frozenset[str]:
    """Those in the space who do not see the channel. People are many, what they hold is not."""
    held = {user_id: roles.roles_of(user_id) for user_id in space.people}
    sees = {each: Permission.SEE in in_channel(roles, each, overrides) for each in set(held.values())}
    return frozenset(user_id for user_id, each in held.items() if not sees[each])


def _wanted(room: RoomNow, user_id: str, *, sees: bool, opened: bool, belongs: bool) -> dict[str, Any] | None:
    membership = room.members.get(user_id, "leave")
    lifts = sees and user_id in room.bans_by_roles
    if membership == "ban" and not lifts:
        return None
    if sees:
        invites = belongs and not opened and membership in ("leave", "ban")
        return INVITE if invites else LEAVE if lifts else None
    if opened:
        return BAN
    return LEAVE if membership in ("join", "invite") else None


def _now(room: RoomNow, user_id: str) -> dict[str, Any]:
    if user_id in room.bans_by_roles:
        return BAN
    return {"membership": room.members.get(user_id, "leave")}
