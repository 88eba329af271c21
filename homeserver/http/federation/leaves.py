"""Server-server API, "Leaving Rooms (Rejecting Invites)"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.federation.templates import Template, template_json
from homeserver.http.request import Request
from homeserver.http.responses import Response

V1, V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"


class LeaveTemplates(Protocol):
    """federation/doors/templates.py."""

    async def leave(self, origin: str, room_id: str, user_id: str) -> Template: ...


class Leaves(Protocol):
    """federation/doors/submissions.py."""

    async def leave(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> object: ...


@dataclass(frozen=True, slots=True)
class FederatedLeaveEndpoints:
    """Invitations are declined and knocks are taken back on this way too."""

    templates: LeaveTemplates
    leaves: Leaves

    @endpoint("GET", f"{V1}/make_leave/{{room_id}}/{{user_id}}", auth=Auth.SERVER, limit="federation")
    async def make_leave(self, request: Request[None]) -> Response:
        path = request.path
        return template_json(await self.templates.leave(request.origin, path["room_id"], path["user_id"]))

    @endpoint("PUT", f"{V2}/send_leave/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=dict, limit="federation")
    async def send_leave(self, request: Request[dict[str, Any]]) -> Response:
        await self._leave(request)
        return {}

    # Removed from the specification since, and still what some fall back to: "[200, {}]".
    @endpoint("PUT", f"{V1}/send_leave/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=dict, limit="federation")
    async def send_leave_v1(self, request: Request[dict[str, Any]]) -> Response:
        await self._leave(request)
        return [200, {}]

    async def _leave(self, request: Request[dict[str, Any]]) -> None:
        path = request.path
        await self.leaves.leave(request.origin, path["room_id"], path["event_id"], request.body)
