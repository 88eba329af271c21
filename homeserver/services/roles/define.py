"""Roles, words about channels, and who holds what: written into the space's state. Rooms change when that is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import InvalidParam, UserSuspended
from homeserver.protocol.identifiers import is_room_id, is_user_id
from homeserver.protocol.roles.authority import check_assignment, check_definition, check_override, check_owner
from homeserver.protocol.roles.effective import overrides_for
from homeserver.protocol.roles.power_levels import protecting, protects_roles
from homeserver.protocol.roles.role_state import (
    EVERYONE,
    MEMBER_ROLES,
    OVERRIDE,
    ROLES,
    RoleSet,
    member_key,
    member_roles_content,
    overrides_content,
    read_member_roles,
    read_overrides,
    read_roles,
    roles_content,
)
from homeserver.protocol.roles.rooms import POWER_LEVELS
from homeserver.services.roles.space_roles import SpaceRoles, content_at, contents_of, space_roles
from homeserver.services.rooms.appender import Plan

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.requester import Requester
    from homeserver.services.roles.survey import SurveySpace
    from homeserver.services.rooms.appender import Appender
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.storage.database import Queries

Drafts = Callable[[SpaceRoles], list[EventDraft]]
"""What is to be written, once it is known that it may be."""


@dataclass(frozen=True, slots=True)
class DefineRoles:
    """Three verbs. Each raises Forbidden, InvalidParam, NotFound, UserSuspended; what stays the same is not written."""

    appender: Appender
    cache: RoomCache
    survey: SurveySpace
    audit: AuditLog

    async def set_roles(self, requester: Requester, space_id: str, said: Mapping[str, Any]) -> None:
        """All roles in their order, and everyone. An owner who sets them is their steward from then on."""
        roles, everyone = read_roles(said)
        content = roles_content(roles, everyone)

        def drafts(space: SpaceRoles) -> list[EventDraft]:
            who = space.actor(requester.user_id)
            if space.steward is None:
                check_owner(who)
            check_definition(who, space.roles, RoleSet(roles, everyone))
            sender = requester.user_id if who.is_owner else space.acting_steward()
            return [*_first(space.room, sender), EventDraft(ROLES, sender, content, "")]

        await self._write(
            requester, space_id, drafts, "roles.define", space_id, {"roles": [each.role_id for each in roles]}
        )

    async def set_override(self, requester: Requester, space_id: str, room_id: str, said: Mapping[str, Any]) -> None:
        """What roles may in one channel, or in a category and its channels that have no word of their own."""
        if not is_room_id(room_id):
            raise InvalidParam("This is no room id")
        wanted = read_overrides(said)
        content = overrides_content(wanted)

        above = await self._above(space_id, room_id)

        def drafts(space: SpaceRoles) -> list[EventDraft]:
            steward, who = space.acting_steward(), space.actor(requester.user_id)
            if above is None:
                # Its category would come later, and the word be there already.
                check_owner(who)
            before = overrides_for(space.roles, room_id, above or ())
            after = overrides_for(space.roles.with_override(room_id, wanted), room_id, above or ())
            check_override(who, space.roles, before, after)
            return [EventDraft(OVERRIDE, steward, content, room_id)]

        await self._write(requester, space_id, drafts, "roles.override", room_id, {"space_id": space_id, **content})

    async def _above(self, space_id: str, room_id: str) -> tuple[str, ...] | None:
        """The categories over the room; None where the roles do not rule it."""
        space = space_roles(await self.cache.get(space_id))
        survey = await self.survey(space, space.acting_steward())
        return next((room.above for room in survey.space.rooms if room.room_id == room_id), None)

    async def assign(self, requester: Requester, space_id: str, user_id: str, said: Mapping[str, Any]) -> None:
        """All the roles that somebody is to hold. Who leaves the space keeps them for his return."""
        if not is_user_id(user_id):
            raise InvalidParam("This is no user id")
        wanted = read_member_roles(said) - {EVERYONE}
        content = member_roles_content(wanted)

        def drafts(space: SpaceRoles) -> list[EventDraft]:
            steward = space.acting_steward()
            who, is_owner = space.actor(requester.user_id), space.is_owner(user_id)
            check_assignment(who, space.roles, user_id, wanted, is_owner=is_owner)
            return [EventDraft(MEMBER_ROLES, steward, content, member_key(user_id))]

        await self._write(requester, space_id, drafts, "roles.assign", user_id, {"space_id": space_id, **content})

    async def _write(
        self,
        requester: Requester,
        space_id: str,
        drafts: Drafts,
        action: str,
        target: str,
        details: Mapping[str, Any],
    ) -> None:
        if requester.is_suspended:
            raise UserSuspended

        async def record(q: Queries) -> None:
            await self.audit.record(q, requester, action, target, details)

        def plan(room: LiveRoom) -> Plan:
            changed = [draft for draft in drafts(space_roles(room)) if not _repeats(room, draft)]
            return Plan(changed, also=record if changed else None)

        await self.appender.commit(space_id, plan)


def _first(room: LiveRoom, owner: str) -> list[EventDraft]:
    """What has to come before roles: from now on only owners write them, and what others wrote before is void."""
    levels = content_at(room, POWER_LEVELS)
    if protects_roles(levels):
        return []
    strays = [
        EventDraft(event_type, owner, {}, key)
        for event_type in (OVERRIDE, MEMBER_ROLES)
        for key, content in contents_of(room, event_type).items()
        if content
    ]
    return [EventDraft(POWER_LEVELS, owner, protecting(levels), ""), *strays]


def _repeats(room: LiveRoom, draft: EventDraft) -> bool:
    assert draft.state_key is not None
    standing = room.fetch_auth_event(draft.type, draft.state_key)
    if standing is None:
        return not draft.content
    # Who holds what is the same whoever of the owners has written it; of the roles the sender is the steward.
    return draft.repeats(standing) if draft.type == ROLES else draft.content == standing.content
