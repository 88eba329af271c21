"""A new name or avatar is shown in every joined room: a member event each, committed together."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import MatrixError
from homeserver.services.awake import AwakeUsers
from homeserver.services.membership.content import MemberProfile, membership_of
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom

ROOMS_AT_ONCE = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PropagateProfile:
    """One verb."""

    appender: Appender
    awake: AwakeUsers

    async def __call__(self, user_id: str, profile: MemberProfile) -> None:
        """Send the new profile into all joined rooms. A room that refuses does not keep it from the others."""
        room_ids = sorted(await self.awake.joined_room_ids(user_id))
        for start in range(0, len(room_ids), ROOMS_AT_ONCE):
            chunk = room_ids[start : start + ROOMS_AT_ONCE]
            await asyncio.gather(*(self._update(user_id, room_id, profile) for room_id in chunk))

    async def _update(self, user_id: str, room_id: str, profile: MemberProfile) -> None:
        try:
            await self.appender.commit(room_id, lambda room: _plan(room, user_id, profile))
        except MatrixError as error:
            log.info("profile of %s not updated in %s: %s", user_id, room_id, error)


def _plan(room: LiveRoom, user_id: str, profile: MemberProfile) -> Plan:
    member = room.fetch_auth_event("m.room.member", user_id)
    if member is None or membership_of(room, user_id) != "join":
        return Plan([])
    content = {
        key: value
        for key, value in member.content.items()
        if key not in ("displayname", "avatar_url", "reason", "join_authorised_via_users_server")
    }
    if profile.displayname is not None:
        content["displayname"] = profile.displayname
    if profile.avatar_url is not None:
        content["avatar_url"] = profile.avatar_url
    if content == member.content:
        return Plan([])
    return Plan([EventDraft(type="m.room.member", sender=user_id, content=content, state_key=user_id)])
