"""GET make_join, make_leave, make_knock: the event another server shall sign, if it may.

Source: server-server API, "Joining Rooms", "Knocking upon a room", "Leaving Rooms".
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from homeserver.federation.doors.residence import ResidentRooms, check_user_of
from homeserver.federation.doors.vouching import Vouching
from homeserver.protocol.auth import auth_types_for_event, check_state_dependent
from homeserver.protocol.builder import EventDraft, build_template
from homeserver.protocol.errors import Forbidden, IncompatibleRoomVersion
from homeserver.protocol.event_format import MAX_PREV_EVENTS
from homeserver.protocol.events import Event
from homeserver.services.clock import Clock
from homeserver.services.rooms.live_room import LiveRoom


@dataclass(frozen=True, slots=True)
class Template:
    """What the other server gets. `event` has neither hash nor signature."""

    room_version: str
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MembershipTemplates:
    """One verb a handshake. All raise Forbidden, NotFound; `versions` are those the other server knows."""

    rooms: ResidentRooms
    vouching: Vouching
    clock: Clock
    server_name: str

    async def join(self, origin: str, room_id: str, user_id: str, versions: Collection[str]) -> Template:
        """Raises IncompatibleRoomVersion, UnableToAuthoriseJoin and UnableToGrantJoin too."""
        room = await self._room(origin, room_id, user_id)
        _check_version(room, versions)
        content = {"membership": "join"}
        voucher = await self.vouching.voucher_for(room, user_id)
        if voucher is not None:
            content["join_authorised_via_users_server"] = voucher
        return await self._make(room, user_id, content)

    async def leave(self, origin: str, room_id: str, user_id: str) -> Template:
        room = await self._room(origin, room_id, user_id)
        return await self._make(room, user_id, {"membership": "leave"})

    async def knock(self, origin: str, room_id: str, user_id: str, versions: Collection[str]) -> Template:
        """Raises IncompatibleRoomVersion too."""
        room = await self._room(origin, room_id, user_id)
        _check_version(room, versions)
        if not room.version.knock:
            raise Forbidden("This room does not take knocks")
        return await self._make(room, user_id, {"membership": "knock"})

    async def _room(self, origin: str, room_id: str, user_id: str) -> LiveRoom:
        check_user_of(origin, user_id)
        return await self.rooms.open_to(origin, room_id)

    async def _make(self, room: LiveRoom, user_id: str, content: dict[str, Any]) -> Template:
        if room.committing is not None and room.pending:
            # What the template cites must be stored when the event comes back.
            await asyncio.shield(room.committing)
        draft = EventDraft("m.room.member", user_id, content, state_key=user_id)
        event = member_template(room, draft, self.clock.now_ms())
        # "origin: The name of the resident homeserver."
        return Template(room.version.version, {**event, "origin": self.server_name})


def member_template(room: LiveRoom, draft: EventDraft, now_ms: int) -> dict[str, Any]:
    """The draft on the room's tip, without hash and signature. Raises AuthRejection where no rule allows it."""
    version = room.version
    keys = auth_types_for_event(draft.type, draft.sender, draft.state_key, draft.content, version)
    auth_events = [found for key in keys if (found := room.fetch_auth_event(*key)) is not None]
    pdu = build_template(
        draft,
        room_version=version,
        room_id=room.room_id,
        prev_event_ids=room.tip.extremities[-MAX_PREV_EVENTS:],
        auth_event_ids=[event.event_id for event in auth_events],
        depth=room.tip.depth + 1,
        origin_server_ts=now_ms,
    )
    event = Event.from_pdu(pdu, version, "$template")
    check_state_dependent(event, version, room.fetch_auth_event, room.power_levels())
    return pdu


def _check_version(room: LiveRoom, versions: Collection[str]) -> None:
    if room.version.version not in versions:
        raise IncompatibleRoomVersion(
            "Your server does not support the version of this room", room_version=room.version.version
        )
