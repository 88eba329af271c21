"""Who is in which voice channel. Ours: nothing of it is in the Matrix specification."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.voice_rosters.read import ReadRosters

ROOT = "/_voicechat/client/v1"


@dataclass(frozen=True, slots=True)
class RosterEndpoints:
    """Reading."""

    read: ReadRosters

    @endpoint("GET", f"{ROOT}/rooms/{{room_id}}/voice", guests=True)
    async def roster(self, request: Request[None]) -> Response:
        return {**orjson.loads(await self.read.roster(request.requester, request.path["room_id"]))}

    @endpoint("GET", f"{ROOT}/spaces/{{room_id}}/voice", guests=True)
    async def channels(self, request: Request[None]) -> Response:
        return await self.read.channels(request.requester, request.path["room_id"])
