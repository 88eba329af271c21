"""One's own second factor, for clients that have a page for it. Ours: nothing of it is in the Matrix specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.second_factor.second_factor import SecondFactor
from homeserver.services.ui_auth.ui_auth import UiAuth

ROOT = "/_voicechat/client/v1/second_factor"


class ProvedBody(msgspec.Struct):
    auth: dict[str, Any] | None = None


class CodeBody(msgspec.Struct):
    code: str


@dataclass(frozen=True, slots=True)
class SecondFactorEndpoints:
    """Who changes it proves who he is once more: with his password, and with a code where he has a second factor."""

    factor: SecondFactor
    ui_auth: UiAuth
    browsers: BrowserSessions

    @endpoint("GET", ROOT, limit="account")
    async def status(self, request: Request[None]) -> Response:
        found = await self.factor.status(request.requester.user_id)
        return {
            "enabled": found.enrolled_ms is not None,
            "enabled_ts": found.enrolled_ms,
            "recovery_codes_left": found.recovery_codes,
            "required": found.is_required,
        }

    @endpoint("POST", f"{ROOT}/totp", body=ProvedBody, limit="password")
    async def offer(self, request: Request[ProvedBody]) -> Response:
        """A secret for an app; it counts once `verify` has had a code of it."""
        await self._prove(request, "POST /second_factor/totp")
        offer = await self.factor.offer(request.requester.user_id)
        return {"secret": offer.secret, "uri": offer.uri, "qr_svg": offer.qr_svg}

    @endpoint("POST", f"{ROOT}/totp/verify", body=CodeBody, limit="password")
    async def verify(self, request: Request[CodeBody]) -> Response:
        requester = request.requester
        recovery = await self.factor.enrol(requester.user_id, request.body.code, request.remote_address)
        # Whoever is signed in there has shown a password only.
        await self.browsers.sign_out_user(requester.user_id)
        return {"recovery_codes": recovery}

    @endpoint("POST", f"{ROOT}/recovery_codes", body=ProvedBody, limit="password")
    async def new_recovery_codes(self, request: Request[ProvedBody]) -> Response:
        await self._prove(request, "POST /second_factor/recovery_codes")
        recovery = await self.factor.new_recovery_codes(request.requester.user_id, request.remote_address)
        return {"recovery_codes": recovery}

    @endpoint("DELETE", f"{ROOT}/totp", body=ProvedBody, limit="password")
    async def remove(self, request: Request[ProvedBody]) -> Response:
        await self._prove(request, "DELETE /second_factor/totp")
        await self.factor.remove(request.requester.user_id, request.remote_address)
        return {}

    async def _prove(self, request: Request[ProvedBody], operation: str) -> None:
        await self.ui_auth.check(request.body.auth, request.requester, operation, ip=request.remote_address)
