"""What roles would change: looked at, and compiled, without changing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.roles.authority import check_manages, check_owner
from homeserver.protocol.roles.compile import compile_room, holders_in, together
from homeserver.protocol.roles.effective import in_space
from homeserver.protocol.roles.permissions import words
from homeserver.protocol.roles.plan import Plan
from homeserver.protocol.roles.role_state import ROLE_STATE, roles_content
from homeserver.protocol.roles.rooms import Change
from homeserver.services.roles.space_roles import SpaceRoles, contents_of, space_roles

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.services.roles.survey import Survey, SurveySpace
    from homeserver.services.rooms.room_cache import RoomCache


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it was made of."""

    plan: Plan
    space: SpaceRoles
    steward: str
    survey: Survey

    def with_wishes(self) -> list[Change]:
        """The plan's changes, before them those of the roles, which are there already: whoever goes back takes them along."""
        space_id, room = self.space.room.room_id, self.space.room
        known = self.survey.space.applied.get(space_id, {})
        wishes = []
        for event_type in ROLE_STATE:
            for key, content in contents_of(room, event_type).items():
                before = known.get((event_type, key), {})
                if before != content:
                    wishes.append(Change(space_id, event_type, key, before, content))
        return [*wishes, *self.plan.changes]


@dataclass(frozen=True, slots=True)
class PlanRoles:
    """Reading only."""

    cache: RoomCache
    survey: SurveySpace

    async def show(self, requester: Requester, space_id: str) -> dict[str, Any]:
        """The roles of a space, for its members. Raises Forbidden, NotFound, InvalidParam."""
        space = space_roles(await self.cache.get(space_id))
        who, roles = space.actor(requester.user_id), space.roles
        return {
            **roles_content(roles.roles, roles.everyone),
            "overrides": {
                room_id: {role_id: each.as_json() for role_id, each in said.items()}
                for room_id, said in roles.overrides.items()
            },
            "members": {user_id: sorted(roles.roles_of(user_id)) for user_id in roles.members},
            "steward": space.steward,
            "me": {"owner": who.is_owner, "permissions": words(in_space(roles, roles.roles_of(who.user_id)))},
        }

    async def __call__(self, requester: Requester, space_id: str, overwrite: Collection[str] = ()) -> Planned:
        """For those who manage roles; only owners overwrite what was made by hand. Raises Forbidden, NotFound, InvalidParam."""
        space = space_roles(await self.cache.get(space_id))
        who = space.actor(requester.user_id)
        check_manages(who)
        if overwrite:
            check_owner(who)
        steward = space.acting_steward()
        survey = await self.survey(space, steward, overwrite)
        return Planned(await _compiled(space, survey, overwrite), space, steward, survey)


async def _compiled(space: SpaceRoles, survey: Survey, overwrite: Collection[str]) -> Plan:
    """Room by room: a large community keeps nobody else waiting."""
    holders, plans = holders_in(space.roles, survey.space), []
    for room in survey.space.rooms:
        plans.append(compile_room(space.roles, survey.space, room, holders, overwrite))
        await asyncio.sleep(0)
    return together(plans, survey.unruled)
