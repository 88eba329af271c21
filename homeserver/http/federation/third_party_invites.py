"""Server-server API, "Third-party invites"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response

V1 = "/_matrix/federation/v1"
MAX_BODY_BYTES = 128 * 1024


class Exchange(Protocol):
    """federation/doors/third_party.py: `ExchangeInvites`."""

    async def __call__(self, origin: str, room_id: str, body: dict[str, Any]) -> None: ...


class Bound(Protocol):
    """federation/doors/third_party.py: `BoundInvites`."""

    async def __call__(self, mxid: str, invites: Sequence[Any]) -> None: ...


class OnBindBody(msgspec.Struct):
    medium: str
    address: str
    mxid: str
    invites: list[Any]


@dataclass(frozen=True, slots=True)
class ThirdPartyInviteEndpoints:
    """Invitations that were sent to an e-mail address."""

    exchange: Exchange
    bound: Bound

    @endpoint(
        "PUT",
        f"{V1}/exchange_third_party_invite/{{room_id}}",
        auth=Auth.SERVER,
        body=dict,
        limit="federation_invite",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def exchange_invite(self, request: Request[dict[str, Any]]) -> Response:
        await self.exchange(request.origin, request.path["room_id"], request.body)
        return {}

    # Identity servers have no key that we could know: what they have signed is checked with the keys in the room.
    # Identity servers of before the specification was written down use POST, and some still do.
    @endpoint(
        "POST",
        f"{V1}/3pid/onbind",
        auth=Auth.NONE,
        body=OnBindBody,
        limit="third_party_bind",
        max_body_bytes=MAX_BODY_BYTES,
    )
    @endpoint(
        "PUT",
        f"{V1}/3pid/onbind",
        auth=Auth.NONE,
        body=OnBindBody,
        limit="third_party_bind",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def on_bind(self, request: Request[OnBindBody]) -> Response:
        await self.bound(request.body.mxid, request.body.invites)
        return {}
