"""Calls: MSC4143 "Discovery of RTC transports", MSC4195 "Acquiring LiveKit access tokens" and "Optional delegated delayed
leave events", client-server API "Voice over IP".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_server_name
from homeserver.services.calls.delegation import Delegations
from homeserver.services.calls.remote_tokens import RemoteCallTokens, RemoteTokenRequest
from homeserver.services.calls.tokens import CallToken, CallTokens, by_member
from homeserver.services.calls.turn import TurnServer

CLIENT = "/_matrix/client"
MSC4143 = f"{CLIENT}/unstable/org.matrix.msc4143"
MSC4195 = f"{CLIENT}/unstable/io.element.msc4195"
MAX_BODY_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class RtcTransports:
    """Where calls are. `sfu_urls` are the WebSocket addresses of MSC4195, `service_url` that of the token service."""

    service_url: str
    sfu_urls: Sequence[str]

    @property
    def addresses(self) -> Collection[str]:
        """All that clients may write into their memberships to say that they publish here."""
        return frozenset(each.rstrip("/") for each in (self.service_url, *self.sfu_urls))

    @property
    def by_service(self) -> list[dict[str, Any]]:
        """As clients of today read it, and the well-known of before MSC4143's endpoint."""
        return [{"type": "livekit", "livekit_service_url": self.service_url}]

    @property
    def by_url(self) -> list[dict[str, Any]]:
        """MSC4195 of September 2026; implementations still say `livekit` and look for both addresses in one entry."""
        return [
            *({"type": "livekit", "livekit_service_url": self.service_url, "url": url} for url in self.sfu_urls),
            *({"type": "m.livekit", "url": url} for url in self.sfu_urls),
        ]


def jwt_for(url: str, token: CallToken, sfu_urls: Collection[str]) -> str:
    """Raises InvalidParam where the call is at another of several LiveKit clusters: the token is of no use at `url`."""
    if token.url in sfu_urls and token.url != url.rstrip("/"):
        raise errors.InvalidParam(f"The calls of this room are at {token.url}")
    return token.jwt


class GetTokenBody(msgspec.Struct):
    url: str
    room_id: str
    slot_id: str
    member_id: str
    server_name: str | None = None


class DelegateBody(msgspec.Struct):
    url: str
    room_id: str
    slot_id: str
    member_id: str
    delay_id: str


@dataclass(frozen=True, slots=True)
class RtcEndpoints:
    """Calls of users of this server, by their access tokens."""

    transports: RtcTransports
    tokens: CallTokens
    delegations: Delegations
    remote: RemoteCallTokens

    @endpoint("GET", f"{MSC4143}/rtc/transports", guests=True)
    async def transports_of_today(self, request: Request[None]) -> Response:
        return {"rtc_transports": self.transports.by_service}

    @endpoint("GET", f"{CLIENT}/v1/rtc/transports", guests=True)
    async def transports_stable(self, request: Request[None]) -> Response:
        return {"rtc_transports": self.transports.by_url}

    @endpoint(
        "POST",
        f"{CLIENT}/v1/rtc/livekit/get_token",
        f"{MSC4195}/rtc/livekit/get_token",
        guests=True,
        suspended=False,
        body=GetTokenBody,
        limit="call_token",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def get_token(self, request: Request[GetTokenBody]) -> Response:
        body, requester = request.body, request.requester
        if body.server_name is not None and body.server_name != self.tokens.server_name:
            return {"jwt": await self._ask_remote(requester.user_id, body, body.server_name)}
        self._check_url(body.url)
        member = by_member(requester.user_id, body.room_id, body.slot_id, requester.device_id, body.member_id)
        return {"jwt": jwt_for(body.url, await self.tokens.issue(member), self.transports.sfu_urls)}

    async def _ask_remote(self, user_id: str, body: GetTokenBody, server_name: str) -> str:
        """For who listens to somebody of another server, whose SFU that is (MSC4195)."""
        if not is_server_name(server_name):
            raise errors.InvalidParam("'server_name' is not a server name")
        await self.tokens.check_joined(user_id, body.room_id)
        wanted = RemoteTokenRequest(user_id, body.url, body.room_id, body.slot_id, body.member_id)
        return await self.remote.token(server_name, wanted)

    # Clients find out whether this exists by asking without a token, and then put off their leave for an hour.
    @endpoint(
        "POST",
        f"{CLIENT}/v1/rtc/livekit/delegate_delayed_leave",
        f"{MSC4195}/rtc/livekit/delegate_delayed_leave",
        guests=True,
        body=DelegateBody,
        limit="call_token",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def delegate_delayed_leave(self, request: Request[DelegateBody]) -> Response:
        body, requester = request.body, request.requester
        self._check_url(body.url)
        member = by_member(requester.user_id, body.room_id, body.slot_id, requester.device_id, body.member_id)
        await self.tokens.check_joined(requester.user_id, body.room_id)
        await self.delegations.accept(member, body.delay_id)
        return {}

    def _check_url(self, url: str) -> None:
        if url.rstrip("/") not in self.transports.sfu_urls:
            raise errors.InvalidParam("'url' is not that of an SFU of this server")


@dataclass(frozen=True, slots=True)
class TurnEndpoints:
    """`turn` is None where the administrator has configured none."""

    turn: TurnServer | None

    @endpoint("GET", f"{CLIENT}/v3/voip/turnServer", guests=True)
    async def turn_server(self, request: Request[None]) -> Response:
        if self.turn is None:
            raise errors.NotFound("No TURN server is configured")
        credentials = self.turn.credentials(request.requester.user_id)
        return {
            "username": credentials.username,
            "password": credentials.password,
            "uris": list(credentials.uris),
            "ttl": credentials.ttl_s,
        }
