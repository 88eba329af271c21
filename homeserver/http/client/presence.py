"""Client-server API, "Presence"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.presence.presence import Presence

STATUS = "/_matrix/client/v3/presence/{user_id}/status"


class PresenceBody(msgspec.Struct):
    presence: str
    status_msg: str | None = None


@dataclass(frozen=True, slots=True)
class PresenceEndpoints:
    """Who is online."""

    presence: Presence

    @endpoint("PUT", STATUS, guests=True, suspended=False, body=PresenceBody, limit="presence")
    async def set_status(self, request: Request[PresenceBody]) -> Response:
        body = request.body
        await self.presence.set(request.requester, request.path["user_id"], body.presence, body.status_msg)
        return {}

    @endpoint("GET", STATUS, guests=True)
    async def status(self, request: Request[None]) -> Response:
        return dict(await self.presence.get(request.requester, request.path["user_id"]))
