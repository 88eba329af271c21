"""Somebody in a browser agrees that a client may use his account, or does not."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.oauth.authorization import AuthorizationRequest
from homeserver.protocol.oauth.errors import ACCESS_DENIED
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.sessions.tokens import hash_token
from homeserver.storage.oauth_codes import OAuthCodeRows, StoredCode

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

KIND: Final = "oauth"
# RFC 6749, 4.1.2: "A maximum authorization code lifetime of 10 minutes is RECOMMENDED"; ours is redeemed by a program.
CODE_MS: Final = 60_000
# How long a used one is remembered, so that it is noticed when it comes again.
CODE_KEPT_MS: Final = 60 * 60_000


@dataclass(frozen=True, slots=True)
class Authorizations:
    """Each answer ends what the browser came for."""

    database: Database
    codes: OAuthCodeRows
    browsers: BrowserSessions
    clock: Clock
    audit: AuditLog
    issuer: str

    async def begin(self, browser: Browser, request: AuthorizationRequest) -> Pending:
        """The browser came with this request."""
        return await self.browsers.begin(browser, KIND, request.as_json(), fresh=request.wants_sign_in)

    async def grant(self, browser: Browser, pending: Pending, address: str) -> str:
        """Where the browser goes with its code. Raises Forbidden, NotFound."""
        user_id, request = browser.require_user(), request_of(pending)
        code = "vcac_" + secrets.token_urlsafe(32)
        stored = StoredCode(
            request.client_id,
            user_id,
            request.device_id,
            request.redirect_uri,
            request.code_challenge,
            request.scope,
            used=False,
            expires_ms=self.clock.now_ms() + CODE_MS,
        )
        async with self.database.transaction() as tx:
            await self.browsers.finish(tx, pending)
            await self.codes.add(tx, hash_token(code), stored)
            await self.browsers.device_granted(tx, browser, request.device_id)
            details = {"client": request.client_id, "device": request.device_id}
            await self.audit.record_as(tx, user_id, "oauth.grant", user_id, details, address=address)
        return request.return_address.with_answer({"code": code}, self.issuer)

    async def deny(self, pending: Pending) -> str:
        """Where the browser goes without one. Raises NotFound."""
        await self.browsers.finish(self.database, pending)
        answer = {"error": ACCESS_DENIED, "error_description": "The user did not agree"}
        return request_of(pending).return_address.with_answer(answer, self.issuer)

    async def tidy(self) -> None:
        """Housekeeping."""
        await self.codes.forget_expired(self.database, self.clock.now_ms() - CODE_KEPT_MS)


def request_of(pending: Pending) -> AuthorizationRequest:
    """What the browser came with."""
    return AuthorizationRequest(**pending.memory)
