"""Who is in which voice channel. Ours: nothing of it is in the Matrix specification."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import orjson

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.voice_rosters.moderation import ModerateVoice
from homeserver.services.voice_rosters.read import ReadRosters

ROOT = "/_voicechat/client/v1"


class MuteBody(msgspec.Struct):
    what: str = "microphone"


class MoveBody(msgspec.Struct):
    to: str


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


@dataclass(frozen=True, slots=True)
class VoiceModerationEndpoints:
    """What moderators do."""

    moderate: ModerateVoice

    @endpoint(
        "POST",
        f"{ROOT}/rooms/{{room_id}}/voice/{{user_id}}/mute",
        suspended=False,
        body=MuteBody,
        limit="voice_moderation",
    )
    async def mute(self, request: Request[MuteBody]) -> Response:
        path = request.path
        await self.moderate.mute(request.requester, path["room_id"], path["user_id"], request.body.what)
        return {}

    @endpoint(
        "POST",
        f"{ROOT}/rooms/{{room_id}}/voice/{{user_id}}/unmute",
        suspended=False,
        body=MuteBody,
        limit="voice_moderation",
    )
    async def unmute(self, request: Request[MuteBody]) -> Response:
        path = request.path
        await self.moderate.unmute(request.requester, path["room_id"], path["user_id"], request.body.what)
        return {}

    @endpoint(
        "POST",
        f"{ROOT}/rooms/{{room_id}}/voice/{{user_id}}/disconnect",
        suspended=False,
        body=dict,
        limit="voice_moderation",
    )
    async def disconnect(self, request: Request[dict[str, object]]) -> Response:
        path = request.path
        await self.moderate.disconnect(request.requester, path["room_id"], path["user_id"])
        return {}

    @endpoint(
        "POST",
        f"{ROOT}/rooms/{{room_id}}/voice/{{user_id}}/move",
        suspended=False,
        body=MoveBody,
        limit="voice_moderation",
    )
    async def move(self, request: Request[MoveBody]) -> Response:
        path = request.path
        await self.moderate.move(request.requester, path["room_id"], path["user_id"], request.body.to)
        return {}
