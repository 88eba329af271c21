"""From roles to numbers: the levels of roles in a channel, and from which level on something is allowed.

Power levels are one line, roles are sets: a level allows all that lower levels allow. Where sets are not nested that way
something has to give, and it is always the permission: **nobody gets what his roles do not give him.**
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from homeserver.protocol.roles.effective import in_channel
from homeserver.protocol.roles.permissions import LEVELLED, Permission, Permissions
from homeserver.protocol.roles.role_state import Overrides, RoleSet

OWNER: Final = 100
"""From this level on people are the community's owners: roles neither give nor take it."""
STEP: Final = 10


@dataclass(frozen=True, slots=True)
class Inexact:
    """A role should have something in a channel that its level cannot give it there."""

    role_id: str
    permission: Permission


@dataclass(frozen=True, slots=True)
class Ladder:
    """The levels of one channel."""

    roles: RoleSet
    overrides: Overrides
    needed: Mapping[Permission, int]
    """From which level on; `OWNER` where no role may."""
    of_role: Mapping[str, int]
    """Of roles that see the channel."""

    def allowed_at(self, level: int) -> Permissions:
        """Of what levels decide."""
        return frozenset(each for each, needed in self.needed.items() if needed <= level)

    def of_holder(self, held: Iterable[str]) -> int:
        """The level of somebody with these roles: as high as his highest one, unless that would allow him too much."""
        held = list(held)
        may = in_channel(self.roles, held, self.overrides)
        cap = level_of_rank(max((self.roles.rank(each) for each in held), default=0), len(self.roles.roles))
        steps = {cap, 0, *self.of_role.values(), *(needed - 1 for needed in self.needed.values())}
        return max(each for each in steps if each <= cap and self.allowed_at(each) <= may)

    def inexact(self) -> list[Inexact]:
        """What roles should have and do not get, the highest role first."""
        found = []
        for role_id in sorted(self.of_role, key=lambda each: -self.roles.rank(each)):
            may = in_channel(self.roles, [role_id], self.overrides) & LEVELLED
            lost = may - self.allowed_at(self.of_holder([role_id]))
            found += [Inexact(role_id, each) for each in sorted(lost)]
        return found


def level_of_rank(rank: int, roles: int) -> int:
    """Of the role so high in a space of so many: 10, 20, 30 …, closer together where they are many. Below OWNER."""
    return rank * min(STEP, (OWNER - 1) // max(roles, 1))


def ladder(roles: RoleSet, overrides: Overrides) -> Ladder:
    """The levels of a channel with these overrides."""
    sets = {role.role_id: in_channel(roles, [role.role_id], overrides) for role in (*roles.roles, roles.everyone)}
    seeing = {role_id: may for role_id, may in sets.items() if Permission.SEE in may}
    of_role = _levels(roles, seeing)
    classes = sorted(((of_role[role_id], may) for role_id, may in seeing.items()), key=lambda each: each[0])
    needed = {each: _needed(each, classes) for each in LEVELLED}
    return Ladder(roles, overrides, needed, of_role)


def _levels(roles: RoleSet, seeing: Mapping[str, Permissions]) -> dict[str, int]:
    """By rank. Roles that may less than everyone (whoever is muted) go below him, those that may least to the bottom."""
    everyone = seeing.get(roles.everyone.role_id, frozenset())
    lesser = sorted(
        {may & LEVELLED for may in seeing.values() if not may >= everyone}, key=lambda may: (len(may), sorted(may))
    )
    below = {may: STEP * (place - len(lesser)) for place, may in enumerate(lesser)}
    count = len(roles.roles)
    return {
        role_id: below[may & LEVELLED] if not may >= everyone else level_of_rank(roles.rank(role_id), count)
        for role_id, may in seeing.items()
    }


def _needed(permission: Permission, classes: list[tuple[int, Permissions]]) -> int:
    """The lowest level from which on all may."""
    needed = OWNER
    for level, may in reversed(classes):
        if permission not in may:
            break
        needed = level
    return needed
