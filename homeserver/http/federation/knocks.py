"""Server-server API, "Knocking upon a room"."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.federation.templates import Template, template_json, versions_of
from homeserver.http.request import Request
from homeserver.http.responses import Response

V1 = "/_matrix/federation/v1"


class KnockTemplates(Protocol):
    """federation/doors/templates.py."""

    async def knock(self, origin: str, room_id: str, user_id: str, versions: Collection[str]) -> Template: ...


class Knocks(Protocol):
    """federation/doors/knock_answers.py."""

    async def __call__(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> Sequence[Any]:
        """PDUs that describe the room."""
        ...


@dataclass(frozen=True, slots=True)
class FederatedKnockEndpoints:
    """Asking to be let in, from outside."""

    templates: KnockTemplates
    knocks: Knocks

    @endpoint("GET", f"{V1}/make_knock/{{room_id}}/{{user_id}}", auth=Auth.SERVER, limit="federation_knock")
    async def make_knock(self, request: Request[None]) -> Response:
        path = request.path
        template = await self.templates.knock(request.origin, path["room_id"], path["user_id"], versions_of(request))
        return template_json(template)

    @endpoint("PUT", f"{V1}/send_knock/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=dict, limit="federation_knock")
    async def send_knock(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        shown = await self.knocks(request.origin, path["room_id"], path["event_id"], request.body)
        return {"knock_room_state": shown}
