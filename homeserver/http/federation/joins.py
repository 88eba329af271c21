"""Server-server API, "Joining Rooms"."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.federation.templates import Template, template_json, versions_of
from homeserver.http.request import Request
from homeserver.http.responses import Response, Stream

V1, V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"


class JoinTemplates(Protocol):
    """federation/doors/templates.py."""

    async def join(self, origin: str, room_id: str, user_id: str, versions: Collection[str]) -> Template: ...


class Joins(Protocol):
    """federation/doors/join_answers.py."""

    async def __call__(
        self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any], *, omit_members: bool
    ) -> AsyncIterator[bytes]:
        """A JSON object in pieces."""
        ...


@dataclass(frozen=True, slots=True)
class FederatedJoinEndpoints:
    """Answers come in pieces: the state of a large room is tens of megabytes."""

    templates: JoinTemplates
    joins: Joins

    @endpoint("GET", f"{V1}/make_join/{{room_id}}/{{user_id}}", auth=Auth.SERVER, limit="federation_join")
    async def make_join(self, request: Request[None]) -> Response:
        path = request.path
        template = await self.templates.join(request.origin, path["room_id"], path["user_id"], versions_of(request))
        return template_json(template)

    @endpoint("PUT", f"{V2}/send_join/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=dict, limit="federation_join")
    async def send_join(self, request: Request[dict[str, Any]]) -> Response:
        return Stream(await self._answer(request, request.query.boolean("omit_members")), "application/json")

    # Removed from the specification since, and still what some fall back to: "[200, {...}]".
    @endpoint("PUT", f"{V1}/send_join/{{room_id}}/{{event_id}}", auth=Auth.SERVER, body=dict, limit="federation_join")
    async def send_join_v1(self, request: Request[dict[str, Any]]) -> Response:
        return Stream(_paired(await self._answer(request, omit_members=False)), "application/json")

    async def _answer(self, request: Request[dict[str, Any]], omit_members: bool) -> AsyncIterator[bytes]:
        path = request.path
        return await self.joins(
            request.origin, path["room_id"], path["event_id"], request.body, omit_members=omit_members
        )  # fmt: skip


async def _paired(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b"[200,"
    async for piece in pieces:
        yield piece
    yield b"]"
