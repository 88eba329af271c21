"""Calls of users of other servers: MSC4195, "Acquiring LiveKit access tokens"."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from homeserver.http.client.rtc import jwt_for
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_user_id, server_name_of
from homeserver.services.calls.tokens import CallTokens, by_member

FEDERATION = "/_matrix/federation"
MAX_BODY_BYTES = 16 * 1024


class RemoteGetTokenBody(msgspec.Struct):
    user_id: str
    url: str
    room_id: str
    slot_id: str
    member_id: str


@dataclass(frozen=True, slots=True)
class FederatedRtcEndpoints:
    """A user's own server asks for him."""

    tokens: CallTokens
    sfu_urls: Collection[str]

    @endpoint(
        "POST",
        f"{FEDERATION}/v1/rtc/livekit/get_token",
        f"{FEDERATION}/unstable/io.element.msc4195/rtc/livekit/get_token",
        auth=Auth.SERVER,
        body=RemoteGetTokenBody,
        limit="federation",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def get_token(self, request: Request[RemoteGetTokenBody]) -> Response:
        body = request.body
        if not is_user_id(body.user_id) or server_name_of(body.user_id) != request.origin:
            raise errors.Forbidden("That is not a user of the server that asks")
        if body.url.rstrip("/") not in self.sfu_urls:
            raise errors.InvalidParam("'url' is not that of an SFU of this server")
        member = by_member(body.user_id, body.room_id, body.slot_id, None, body.member_id)
        return {"jwt": jwt_for(body.url, await self.tokens.issue(member), self.sfu_urls)}
