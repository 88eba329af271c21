"""Who may change what about roles. Nobody gives what he does not have, nor reaches as high as he stands himself.

Owners (see levels.py) may everything. Others need `manage_roles`; then

- they may define, move, give and take only roles below their own highest one;
- they may put into such a role only permissions that they have in the space, and into a channel's word about it only those that
  they have there;
- of people who stand as high as they do or higher they may change nothing, nor of themselves, but that they may lay a role down;
- whatever they do, they may nowhere more than before: the muted lay no role down, nor delete it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.protocol.roles.effective import in_channel, in_space
from homeserver.protocol.roles.permissions import NONE, Permission, Permissions, words
from homeserver.protocol.roles.role_state import EVERYONE, Override, Overrides, Role, RoleSet

_NOTHING = Override()
GAINS: Final = "That would allow you more than you may now"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who wants to change something, by the roles as they are."""

    user_id: str
    held: frozenset[str]
    rank: float
    may: Permissions
    is_owner: bool


def actor(roles: RoleSet, user_id: str, *, is_owner: bool) -> Actor:
    """What somebody brings along."""
    rank = float("inf") if is_owner else float(roles.rank_of(user_id))
    held = roles.roles_of(user_id)
    return Actor(user_id, held, rank, in_space(roles, held), is_owner)


def check_manages(who: Actor) -> None:
    """Raises Forbidden for those who do not manage roles at all."""
    if not who.is_owner and Permission.MANAGE_ROLES not in who.may:
        raise Forbidden("You do not manage the roles of this space")


def check_owner(who: Actor) -> None:
    """Raises Forbidden."""
    if not who.is_owner:
        raise Forbidden("Only owners of the space may do that")


def check_definition(who: Actor, before: RoleSet, after: RoleSet) -> None:
    """New roles, other names, another order. Raises Forbidden."""
    check_manages(who)
    if who.is_owner:
        return
    untouched = [role for role in before.roles if before.rank(role.role_id) >= who.rank]
    if list(after.roles[: len(untouched)]) != untouched:
        raise Forbidden("Roles as high as your own, and higher ones, stay as they are")
    for role in (*after.roles[len(untouched) :], after.everyone):
        _check_grant(who, before.role(role.role_id), role)
    _check_gains_nothing(who, before, after, after.role_ids() & who.held)


def check_override(who: Actor, roles: RoleSet, before: Overrides, after: Overrides) -> None:
    """What roles may in one channel, with what its category says where it says nothing itself.

    Raises Forbidden; InvalidParam for a role that there is not.
    """
    check_manages(who)
    here = in_channel(roles, who.held, before)
    for role_id in before.keys() | after.keys():
        old, new = before.get(role_id, _NOTHING), after.get(role_id, _NOTHING)
        if old == new:
            continue
        if new != _NOTHING and roles.role(role_id) is None:
            raise InvalidParam(f"There is no role '{role_id}'")
        if role_id != EVERYONE and roles.rank(role_id) >= who.rank:
            raise Forbidden(f"'{role_id}' is not below your own roles")
        # A `deny` that is lifted gives as much as an `allow`.
        _check_has(who, here, (new.allow - old.allow) | (old.deny - new.deny), f"'{role_id}'")
    if not who.is_owner and not in_channel(roles, who.held, after) <= here:
        raise Forbidden(GAINS)


def check_assignment(who: Actor, roles: RoleSet, user_id: str, after: Iterable[str], *, is_owner: bool) -> None:
    """Other roles for somebody. `is_owner`: whether the one concerned is. Raises Forbidden, InvalidParam."""
    before, wanted = roles.roles_of(user_id), frozenset(after)
    if user_id == who.user_id and wanted < before:
        _check_gains_nothing(who, roles, roles, wanted)
        return
    check_manages(who)
    for role_id in sorted(wanted - before):
        if role_id == EVERYONE or roles.role(role_id) is None:
            raise InvalidParam(f"There is no role '{role_id}' that could be given")
    if not who.is_owner and (is_owner or roles.rank_of(user_id) >= who.rank):
        raise Forbidden(f"{user_id} does not stand below you")
    for role_id in sorted(before ^ wanted):
        if roles.rank(role_id) >= who.rank:
            raise Forbidden(f"'{role_id}' is not below your own roles")
        role = roles.role(role_id)
        _check_has(who, who.may, role.permissions if role is not None and role_id in wanted else NONE, f"'{role_id}'")


def _check_grant(who: Actor, before: Role | None, after: Role) -> None:
    given = after.permissions - (before.permissions if before is not None else NONE)
    _check_has(who, who.may, given, f"'{after.role_id}'")


def _check_has(who: Actor, may: Permissions, given: Permissions, to: str) -> None:
    lacking = NONE if who.is_owner else given - may
    if lacking:
        raise Forbidden(f"You cannot give {to} what you do not have: {', '.join(words(lacking))}")


def _check_gains_nothing(who: Actor, before: RoleSet, after: RoleSet, held: Iterable[str]) -> None:
    """Roles also take away, by what channels say of them: without such a one somebody may more."""
    if who.is_owner:
        return
    held = list(held)
    for overrides in before.overrides.values():
        if not in_channel(after, held, overrides) <= in_channel(before, who.held, overrides):
            raise Forbidden(GAINS)
