"""Server-server API, "Device Management" and "End-to-End Encryption": what others ask about our users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import KIBIBYTE, Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.keys.claim import KeyClaims
from homeserver.services.keys.query import KeyQueries

USER = "/_matrix/federation/v1/user"
MAX_BODY_BYTES = 4096 * KIBIBYTE


class KeyQueryBody(msgspec.Struct):
    device_keys: dict[str, list[str]]


class KeyClaimBody(msgspec.Struct):
    one_time_keys: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class UserEndpoints:
    devices: Callable[[str], Awaitable[dict[str, Any]]]
    queries: KeyQueries
    claims: KeyClaims

    @endpoint("GET", f"{USER}/devices/{{user_id}}", auth=Auth.SERVER, limit="federation")
    async def user_devices(self, request: Request[None]) -> Response:
        return await self.devices(request.path["user_id"])

    @endpoint(
        "POST", f"{USER}/keys/query", auth=Auth.SERVER, body=KeyQueryBody, limit="federation_keys",
        max_body_bytes=MAX_BODY_BYTES,
    )  # fmt: skip
    async def query_keys(self, request: Request[KeyQueryBody]) -> Response:
        found = await self.queries.of_our_users(request.body.device_keys)
        return {
            "device_keys": found.device_keys,
            "master_keys": found.master_keys,
            "self_signing_keys": found.self_signing_keys,
        }

    @endpoint(
        "POST", f"{USER}/keys/claim", auth=Auth.SERVER, body=KeyClaimBody, limit="federation_keys",
        max_body_bytes=MAX_BODY_BYTES,
    )  # fmt: skip
    async def claim_keys(self, request: Request[KeyClaimBody]) -> Response:
        return {"one_time_keys": (await self.claims.of_our_users(request.body.one_time_keys)).one_time_keys}
