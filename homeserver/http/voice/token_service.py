"""The token service that clients find at `livekit_service_url`: whoever shows an OpenID token may get one for the SFU.

The paths and bodies are those of the stand-alone service that LiveKit is usually run with, in both its generations.
Unlike there, nobody is let in who is not in the room.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.calls.delegation import Delegations
from homeserver.services.calls.identities import VoiceIdentities
from homeserver.services.calls.tokens import CallMember, CallTokens, by_device, by_device_and_member
from homeserver.services.calls.visitors import NOT_AUTHORISED, Visitors
from homeserver.storage.openid_tokens import TokenOwner

ROOT = "/livekit/jwt"
MAX_BODY_BYTES = 16 * 1024


class OpenIdCredential(msgspec.Struct):
    access_token: str
    matrix_server_name: str


class CallMemberBody(msgspec.Struct):
    id: str
    claimed_user_id: str
    claimed_device_id: str


# `delay_cs_api_url` is not read: we ask no other server to send an event, and only events that wait here are known.
class SfuGetBody(msgspec.Struct):
    room: str
    openid_token: OpenIdCredential
    device_id: str
    delay_id: str | None = None
    delay_timeout: int | None = None


class GetTokenBody(msgspec.Struct):
    room_id: str
    slot_id: str
    openid_token: OpenIdCredential
    member: CallMemberBody
    delay_id: str | None = None
    delay_timeout: int | None = None


class DelegateBody(msgspec.Struct):
    room_id: str
    slot_id: str
    openid_token: OpenIdCredential
    member: CallMemberBody
    delay_id: str
    delay_timeout: int


@dataclass(frozen=True, slots=True)
class TokenServiceEndpoints:
    """Everything here is asked without an access token; the OpenID token in the body says who asks."""

    visitors: Visitors
    tokens: CallTokens
    identities: VoiceIdentities
    delegations: Delegations

    @endpoint(
        "POST",
        f"{ROOT}/sfu/get",
        auth=Auth.NONE,
        body=SfuGetBody,
        limit="call_token",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def sfu_get(self, request: Request[SfuGetBody]) -> Response:
        body = request.body
        visitor = await self._visitor(body.openid_token, body.room)
        asks = by_device(visitor.user_id, body.room, body.device_id)
        return await self._answer(_on_his_device(asks, visitor), body.delay_id)

    @endpoint(
        "POST",
        f"{ROOT}/get_token",
        auth=Auth.NONE,
        body=GetTokenBody,
        limit="call_token",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def get_token(self, request: Request[GetTokenBody]) -> Response:
        body, member = request.body, request.body.member
        visitor = await self._visitor(body.openid_token, body.room_id, member.claimed_user_id)
        asks = by_device_and_member(
            visitor.user_id, body.room_id, body.slot_id, member.claimed_device_id, member.id
        )  # fmt: skip
        return await self._answer(_on_his_device(asks, visitor), body.delay_id)

    @endpoint(
        "POST",
        f"{ROOT}/delegate_delayed_leave",
        auth=Auth.NONE,
        body=DelegateBody,
        limit="call_token",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def delegate_delayed_leave(self, request: Request[DelegateBody]) -> Response:
        body, member = request.body, request.body.member
        visitor = await self._visitor(body.openid_token, body.room_id, member.claimed_user_id)
        self._check_local(visitor.user_id)
        asks = by_device_and_member(
            visitor.user_id, body.room_id, body.slot_id, member.claimed_device_id, member.id
        )  # fmt: skip
        await self.tokens.check_joined(visitor.user_id, body.room_id)
        await self.delegations.accept(self._as_known(_on_his_device(asks, visitor)), body.delay_id)
        return {}

    @endpoint("GET", f"{ROOT}/healthz", auth=Auth.NONE, limit="none")
    async def healthz(self, request: Request[None]) -> Response:
        return {}

    async def _visitor(
        self, credential: OpenIdCredential, room_id: str, claimed_user_id: str | None = None
    ) -> TokenOwner:
        server_name = credential.matrix_server_name
        if server_name != self.tokens.server_name and not await self.tokens.shares(server_name, room_id):
            # Nobody of that server could get in, and strangers shall not choose whom we ask.
            raise errors.Unauthorized(NOT_AUTHORISED)
        return await self.visitors.verify(server_name, credential.access_token, claimed_user_id)

    async def _answer(self, member: CallMember, delay_id: str | None) -> Response:
        if delay_id:
            self._check_local(member.user_id)
        token = await self.tokens.issue(member)
        if delay_id:
            await self.delegations.accept(member, delay_id)
        return {"url": token.url, "jwt": token.jwt}

    def _check_local(self, user_id: str) -> None:
        if not self.tokens.is_local(user_id):
            raise errors.Forbidden("Only users of this server can hand their delayed events to it")

    def _as_known(self, member: CallMember) -> CallMember:
        """He may have come with a token of `/sfu/get`, under the name that belongs to it."""
        if self.identities.find(member.sfu_room, member.identity) is not None or member.device_id is None:
            return member
        plain = by_device(member.user_id, member.room_id, member.device_id)
        if plain.sfu_room == member.sfu_room and self.identities.find(plain.sfu_room, plain.identity) is not None:
            return plain
        return member


def _on_his_device(member: CallMember, visitor: TokenOwner) -> CallMember:
    """Raises Forbidden where his token was asked for on another device: that one ends his calls when it is logged out."""
    if visitor.device_id not in (None, member.device_id):
        raise errors.Forbidden("This is not the device that the OpenID token belongs to")
    return member
