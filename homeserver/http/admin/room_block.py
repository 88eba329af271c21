"""Rooms that nobody of this server comes into, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.identifiers import is_room_id
from homeserver.services.rooms.blocked_rooms import BlockedRooms

PATH = "/_synapse/admin/v1/rooms/{room_id}/block"


class BlockBody(msgspec.Struct):
    block: bool


@dataclass(frozen=True, slots=True)
class RoomBlockEndpoints:
    """Also for rooms that this server has never seen."""

    blocked: BlockedRooms

    @endpoint("GET", PATH, auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        by = self.blocked.blocked_by(checked_room_id(request.path["room_id"]))
        return {"block": False} if by is None else {"block": True, "user_id": by}

    @endpoint("PUT", PATH, auth=Auth.ADMIN, body=BlockBody, limit="administration")
    async def put(self, request: Request[BlockBody]) -> Response:
        room_id = checked_room_id(request.path["room_id"])
        await self.blocked.set_blocked(request.requester, room_id, request.body.block)
        return {"block": request.body.block}


def checked_room_id(room_id: str) -> str:
    """Raises InvalidParam where it is none."""
    if not is_room_id(room_id):
        raise InvalidParam(f"{room_id} is no room id")
    return room_id
