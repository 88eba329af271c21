"""What somebody may in a channel: what all his roles give him, then what the channel says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homeserver.protocol.roles.permissions import NONE, Permission, Permissions
from homeserver.protocol.roles.role_state import EVERYONE, Override, Overrides, RoleSet

_NOBODY = Override()
_NOTHING: Overrides = {}


def in_space(roles: RoleSet, held: Iterable[str]) -> Permissions:
    """What everyone may, and each of these roles."""
    found = set(roles.everyone.permissions)
    for role_id in held:
        role = roles.role(role_id)
        found |= role.permissions if role is not None else NONE
    return frozenset(found)


def in_channel(roles: RoleSet, held: Iterable[str], overrides: Overrides = _NOTHING) -> Permissions:
    """The same in a channel: a role's word goes over everyone's, and among roles `allow` over `deny`.

    Who does not see a channel can do nothing in it.
    """
    held = list(held)
    said = [overrides.get(role_id, _NOBODY) for role_id in held]
    everyone = overrides.get(EVERYONE, _NOBODY)
    found = (in_space(roles, held) - everyone.deny) | everyone.allow
    found -= NONE.union(*(each.deny for each in said))
    found |= NONE.union(*(each.allow for each in said))
    return found if Permission.SEE in found else NONE


def overrides_for(roles: RoleSet, room_id: str, above: Iterable[str]) -> Overrides:
    """A channel's own; where it has none those of its category, the nearest first."""
    found: Mapping[str, Override] | None = roles.overrides.get(room_id)
    for category in above:
        found = found if found is not None else roles.overrides.get(category)
    return found if found is not None else _NOTHING
