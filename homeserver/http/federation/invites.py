"""Server-server API, "Inviting to a room"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors

V1, V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"


class Invitations(Protocol):
    """federation/doors/invitations.py."""

    async def __call__(
        self, origin: str, room_id: str, event_id: str, version_name: str, pdu: dict[str, Any], shown: Sequence[Any]
    ) -> dict[str, Any]:
        """The invitation with our signature."""
        ...


class InviteBody(msgspec.Struct):
    room_version: str
    event: dict[str, Any]
    invite_room_state: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FederatedInviteEndpoints:
    """Users of ours are invited."""

    receive: Invitations

    @endpoint(
        "PUT", f"{V2}/invite/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=InviteBody, limit="federation_invite"
    )
    async def invite(self, request: Request[InviteBody]) -> Response:
        path, body = request.path, request.body
        signed = await self.receive(
            request.origin, path["room_id"], path["event_id"], body.room_version, body.event, body.invite_room_state
        )
        return {"event": signed}

    # "Servers which receive a v1 invite request must assume that the room version is either "1" or "2"": one format.
    @endpoint("PUT", f"{V1}/invite/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=dict, limit="federation_invite")
    async def invite_v1(self, request: Request[dict[str, Any]]) -> Response:
        path, pdu = request.path, request.body
        unsigned = pdu.pop("unsigned", None)
        shown = unsigned.get("invite_room_state", []) if isinstance(unsigned, dict) else []
        if not isinstance(shown, list):
            raise errors.InvalidParam("'invite_room_state' must be a list")
        return [200, {"event": await self.receive(request.origin, path["room_id"], path["event_id"], "1", pdu, shown)}]
