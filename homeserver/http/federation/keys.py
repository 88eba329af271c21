"""Server-server API, "Retrieving server keys": our own, and those of others as a notary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.server_keys import KeyCriteria

ROOT = "/_matrix/key/v2"
MAX_BODY_BYTES = 256 * 1024


class KeyNotary(Protocol):
    """Implemented by federation/notary.py."""

    async def documents(self, wanted: Mapping[str, KeyCriteria]) -> list[dict[str, Any]]:
        """By server name, which keys are wanted and until when they should be valid."""
        ...


class Criteria(msgspec.Struct):
    minimum_valid_until_ts: int | None = None


class QueryBody(msgspec.Struct):
    server_keys: dict[str, dict[str, Criteria]]


@dataclass(frozen=True, slots=True)
class KeyEndpoints:
    """Nobody has to sign a question for keys: it is how one gets to check signatures."""

    own_document: Callable[[], dict[str, Any]]
    notary: KeyNotary

    # The second, here and below, is from before v1.6: "Querying for a specific key" was removed, and servers still ask.
    @endpoint("GET", f"{ROOT}/server", f"{ROOT}/server/{{key_id}}", auth=Auth.NONE)
    async def server_keys(self, request: Request[None]) -> Response:
        return self.own_document()

    @endpoint(
        "GET",
        f"{ROOT}/query/{{server_name}}",
        f"{ROOT}/query/{{server_name}}/{{key_id}}",
        auth=Auth.NONE,
        limit="key_query",
    )
    async def query_one(self, request: Request[None]) -> Response:
        until_ms = request.query.integer("minimum_valid_until_ts", minimum=0)
        key_ids = [request.path["key_id"]] if "key_id" in request.path else []
        wanted = {request.path["server_name"]: KeyCriteria(key_ids, until_ms)}
        return {"server_keys": await self.notary.documents(wanted)}

    @endpoint("POST", f"{ROOT}/query", auth=Auth.NONE, body=QueryBody, limit="key_query", max_body_bytes=MAX_BODY_BYTES)
    async def query_many(self, request: Request[QueryBody]) -> Response:
        wanted = {
            name: KeyCriteria(list(criteria), _latest(criteria)) for name, criteria in request.body.server_keys.items()
        }
        return {"server_keys": await self.notary.documents(wanted)}


def _latest(criteria: Mapping[str, Criteria]) -> int | None:
    """Nearly always one document has all keys of a server, so the most demanding key decides."""
    times = (each.minimum_valid_until_ts for each in criteria.values())
    return max((time_ms for time_ms in times if time_ms is not None), default=None)
