"""Keys of devices. Client-server API, "End-to-End Encryption", "Key management API"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import KIBIBYTE, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.keys.claim import KeyClaims
from homeserver.services.keys.query import KeyQueries
from homeserver.services.keys.upload import KeyUploads
from homeserver.services.sync.device_list_changes import DeviceListChanges
from homeserver.services.tokens import StreamToken

KEYS = "/_matrix/client/v3/keys"
# As cross_signing.py has it.
UNSTABLE_KEYS = "/_matrix/client/unstable/keys"

# 20,000 users with their devices.
MAX_QUERY_BYTES = 4096 * KIBIBYTE


class UploadBody(msgspec.Struct):
    device_keys: dict[str, Any] | None = None
    one_time_keys: dict[str, Any] = msgspec.field(default_factory=dict)
    fallback_keys: dict[str, Any] = msgspec.field(default_factory=dict)


class QueryBody(msgspec.Struct):
    device_keys: dict[str, list[str]]
    timeout: int | None = None


class ClaimBody(msgspec.Struct):
    one_time_keys: dict[str, dict[str, str]]
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class KeyEndpoints:
    uploads: KeyUploads
    queries: KeyQueries
    claims: KeyClaims
    changes: DeviceListChanges

    @endpoint("POST", f"{KEYS}/upload", f"{UNSTABLE_KEYS}/upload", guests=True, body=UploadBody, limit="keys")
    async def upload(self, request: Request[UploadBody]) -> Response:
        body = request.body
        counts = await self.uploads.upload(
            request.requester, body.device_keys, body.one_time_keys, body.fallback_keys
        )  # fmt: skip
        return {"one_time_key_counts": dict(counts)}

    @endpoint(
        "POST",
        f"{KEYS}/query",
        f"{UNSTABLE_KEYS}/query",
        guests=True,
        body=QueryBody,
        max_body_bytes=MAX_QUERY_BYTES,
        limit="keys_query",
    )
    async def query(self, request: Request[QueryBody]) -> Response:
        body = request.body
        found = await self.queries.query(request.requester, body.device_keys, body.timeout)
        return {
            "failures": found.failures,
            "device_keys": found.device_keys,
            "master_keys": found.master_keys,
            "self_signing_keys": found.self_signing_keys,
            "user_signing_keys": found.user_signing_keys,
        }

    @endpoint("POST", f"{KEYS}/claim", f"{UNSTABLE_KEYS}/claim", guests=True, body=ClaimBody, limit="key_claim")
    async def claim(self, request: Request[ClaimBody]) -> Response:
        claimed = await self.claims.claim(request.body.one_time_keys, request.body.timeout)
        return {"failures": claimed.failures, "one_time_keys": claimed.one_time_keys}

    @endpoint("GET", f"{KEYS}/changes", f"{UNSTABLE_KEYS}/changes")
    async def changed(self, request: Request[None]) -> Response:
        since, to = (StreamToken.parse(request.query.required(name)) for name in ("from", "to"))
        found = await self.changes.between(request.requester.user_id, since, to)
        return {"changed": sorted(found.changed), "left": sorted(found.left)}
