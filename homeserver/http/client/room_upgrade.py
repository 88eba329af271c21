"""Client-server API, "Room upgrades"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.rooms.upgrade.upgrade_room import UpgradeRoom


class UpgradeBody(msgspec.Struct):
    new_version: str
    additional_creators: list[str] | None = None


@dataclass(frozen=True, slots=True)
class RoomUpgradeEndpoints:
    """One endpoint."""

    upgrade: UpgradeRoom

    @endpoint(
        "POST", "/_matrix/client/v3/rooms/{room_id}/upgrade", suspended=False, body=UpgradeBody, limit="room_create"
    )
    async def upgrade_room(self, request: Request[UpgradeBody]) -> Response:
        body = request.body
        replacement = await self.upgrade(
            request.requester, request.path["room_id"], body.new_version, body.additional_creators or ()
        )
        return {"replacement_room": replacement}
