"""GET /rooms/{roomId}/members and /joined_members: who is in a room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.errors import Forbidden
from homeserver.services.requester import Requester
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.past_state import PastState
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.tokens import parse_timeline_token
from homeserver.services.visibility import NOT_IN_ROOM


@dataclass(frozen=True, slots=True)
class MembersQuery:
    """What the client asks for; `at` is a token as it came."""

    at: str | None = None
    membership: str | None = None
    not_membership: str | None = None

    @property
    def wants_everybody(self) -> bool:
        return self.membership is None and self.not_membership is None

    def wants(self, membership: str | None) -> bool:
        """ "The two parameters create an 'or' condition." """
        return membership == self.membership or (self.not_membership is not None and membership != self.not_membership)


@dataclass(frozen=True, slots=True)
class ReadMembers:
    """Two verbs; memory answers both, unless the past is asked for."""

    opener: RoomOpener
    past: PastState
    presenter: Presenter

    async def events(self, reader: Requester, room_id: str, query: MembersQuery) -> list[bytes]:
        """Membership events in JSON. Raises Forbidden, InvalidParam.

        "If you have left the room then this will be the members of the room when you left."
        """
        at = None if query.at is None else parse_timeline_token(query.at)
        room, access = await self.opener.access(room_id, reader.user_id)
        ends = [position for position in (at, access.left_at) if position is not None]
        members = await self.past.all_members(room, min(ends, default=None))
        if not query.wants_everybody:
            members = [event for event in members if query.wants(event.membership)]
        return self.presenter.show_state(room_id, members)

    async def joined(self, reader: Requester, room_id: str) -> Mapping[str, Mapping[str, Any]]:
        """Name and avatar of everybody in the room. Raises Forbidden for whoever is not in it himself."""
        room, access = await self.opener.access(room_id, reader.user_id)
        if not access.joined:
            raise Forbidden(NOT_IN_ROOM)
        members = room.state.of_type("m.room.member")
        return {user_id: _profile(members[user_id].content) for user_id in room.joined}


def _profile(content: Mapping[str, Any]) -> dict[str, str]:
    profile: dict[str, str] = {}
    if isinstance(name := content.get("displayname"), str):
        profile["display_name"] = name
    if isinstance(avatar := content.get("avatar_url"), str):
        profile["avatar_url"] = avatar
    return profile
