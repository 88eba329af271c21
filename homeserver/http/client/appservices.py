"""Application service API, "Client-Server API Extensions", and client-server API, "Third-party networks"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Json, Response
from homeserver.protocol.errors import Forbidden
from homeserver.services.appservices.asking import AskAppservices
from homeserver.services.appservices.registry import Appservices

THIRD_PARTY = "/_matrix/client/v3/thirdparty"


class PingBody(msgspec.Struct):
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class AppserviceEndpoints:
    """What only application services ask."""

    appservices: Appservices
    ask: AskAppservices

    @endpoint(
        "POST",
        "/_matrix/client/v1/appservice/{appservice_id}/ping",
        body=PingBody,
        empty_body=True,
        limit="appservice_ping",
    )
    async def ping(self, request: Request[PingBody]) -> Response:
        appservice_id = request.requester.appservice_id
        if appservice_id is None or appservice_id != request.path["appservice_id"]:
            raise Forbidden("This is not the token of that application service")
        duration_ms = await self.ask.ping(self.appservices.by_id[appservice_id], request.body.transaction_id)
        return {"duration_ms": duration_ms}


@dataclass(frozen=True, slots=True)
class ThirdPartyEndpoints:
    """What people ask about networks behind bridges."""

    ask: AskAppservices

    @endpoint("GET", THIRD_PARTY + "/protocols", limit="directory")
    async def protocols(self, request: Request[None]) -> Response:
        return Json(200, await self.ask.protocols())

    @endpoint("GET", THIRD_PARTY + "/protocol/{protocol}", limit="directory")
    async def protocol(self, request: Request[None]) -> Response:
        return Json(200, await self.ask.protocol(request.path["protocol"]))

    @endpoint("GET", THIRD_PARTY + "/location/{protocol}", limit="directory")
    async def locations(self, request: Request[None]) -> Response:
        return Json(200, await self.ask.look_up("location", request.path["protocol"], _fields(request)))

    @endpoint("GET", THIRD_PARTY + "/user/{protocol}", limit="directory")
    async def users(self, request: Request[None]) -> Response:
        return Json(200, await self.ask.look_up("user", request.path["protocol"], _fields(request)))

    @endpoint("GET", THIRD_PARTY + "/location", limit="directory")
    async def locations_of_alias(self, request: Request[None]) -> Response:
        return Json(200, await self.ask.look_up("location", None, {"alias": [request.query.required("alias")]}))

    @endpoint("GET", THIRD_PARTY + "/user", limit="directory")
    async def networks_of_user(self, request: Request[None]) -> Response:
        return Json(200, await self.ask.look_up("user", None, {"userid": [request.query.required("userid")]}))


def _fields(request: Request[None]) -> dict[str, list[str]]:
    """What is looked for; tokens stay here."""
    names = [name for name in request.query.names() if name not in ("access_token", "user_id", "device_id")]
    return {name: request.query.strings(name) for name in names}
