"""Cross-signing keys and signatures. Client-server API, "Cross-signing"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.encryption.cross_signing_keys import Usage
from homeserver.services.cross_signing.signatures import SignatureUploads
from homeserver.services.cross_signing.upload import CrossSigningUploads
from homeserver.services.oauth.cross_signing_resets import FLOWS, CrossSigningResets, auth_in_browser
from homeserver.services.ui_auth.ui_auth import UiAuth

KEYS = "/_matrix/client/v3/keys"
# Clients of before v1.1, and some of today's that were never changed.
UNSTABLE_KEYS = "/_matrix/client/unstable/keys"


class CrossSigningBody(msgspec.Struct):
    master_key: dict[str, Any] | None = None
    self_signing_key: dict[str, Any] | None = None
    user_signing_key: dict[str, Any] | None = None
    auth: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CrossSigningEndpoints:
    uploads: CrossSigningUploads
    signatures: SignatureUploads
    ui_auth: UiAuth
    resets: CrossSigningResets

    @endpoint(
        "POST",
        f"{KEYS}/device_signing/upload",
        f"{UNSTABLE_KEYS}/device_signing/upload",
        body=CrossSigningBody,
        limit="keys",
    )
    async def upload_keys(self, request: Request[CrossSigningBody]) -> Response:
        body, requester = request.body, request.requester

        async def prove() -> None:
            # "User-Interactive Authentication ... except when used by an application service."
            if requester.appservice_id is not None:
                return
            operation = "POST /keys/device_signing/upload"
            if await self.resets.is_asked_of(requester):
                auth = auth_in_browser(body.auth)
                await self.ui_auth.check(auth, requester, operation, FLOWS, ip=request.remote_address)
            else:
                await self.ui_auth.check(body.auth, requester, operation, ip=request.remote_address)

        given: dict[Usage, dict[str, Any] | None] = {
            "master": body.master_key,
            "self_signing": body.self_signing_key,
            "user_signing": body.user_signing_key,
        }
        await self.uploads.upload(requester, {usage: key for usage, key in given.items() if key is not None}, prove)
        return {}

    @endpoint(
        "POST",
        f"{KEYS}/signatures/upload",
        f"{UNSTABLE_KEYS}/signatures/upload",
        body=dict[str, dict[str, dict[str, Any]]],
        limit="keys",
    )
    async def upload_signatures(self, request: Request[dict[str, dict[str, dict[str, Any]]]]) -> Response:
        return {"failures": await self.signatures.upload(request.requester, request.body)}
