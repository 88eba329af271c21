"""Rooms that this server is not in, and users of other servers: what the membership verbs ask of federation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, NotFound


class RemoteRooms(Protocol):
    """Member events that need another server. `content` has the membership; `servers` are asked in this order.

    All raise what the other servers answered where it is about the room (Forbidden, IncompatibleRoomVersion, NotFound,
    UnableToAuthoriseJoin, UnableToGrantJoin), else BadGateway, ConnectionFailed or ConnectionTimeout.
    """

    async def join(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str | None:  # fmt: skip
        """Come into a room that we are not in; returns the id of the join when the room is here.

        None: somebody else of ours has come into it meanwhile, and the user can join as in any room of ours.
        """
        ...

    async def join_vouched(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """Join a restricted room that we are in, by way of a server that may let the user in."""
        ...

    async def leave(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """Decline an invitation, or take a knock back. Where no server helps, it is gone for us all the same."""
        ...

    async def knock(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """Knock on a room that we are not in."""
        ...

    async def invite(self, room_id: str, draft: EventDraft) -> str:
        """Invite a user of another server into a room of ours. Raises InviteBlocked too."""
        ...


@dataclass(frozen=True, slots=True)
class NoRemoteRooms:
    """Federation is switched off: there are no rooms but ours, and no users."""

    async def join(self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]) -> str | None:
        raise unknown_room(room_id)

    async def join_vouched(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str:  # fmt: skip
        raise unknown_room(room_id)

    async def leave(self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]) -> str:
        raise unknown_room(room_id)

    async def knock(self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]) -> str:
        raise unknown_room(room_id)

    async def invite(self, room_id: str, draft: EventDraft) -> str:
        raise Forbidden(f"This server does not federate: {draft.state_key} cannot be invited")


def unknown_room(room_id: str) -> NotFound:
    """What those get who name a room that nobody here can find."""
    return NotFound(f"This server does not know the room {room_id}")
