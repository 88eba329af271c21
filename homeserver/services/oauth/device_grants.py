"""Device authorization grants (RFC 8628): somebody agrees in a browser that a device without one may sign in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.protocol.oauth.client_metadata import DEVICE_CODE, ClientMetadata
from homeserver.protocol.oauth.errors import (
    ACCESS_DENIED,
    AUTHORIZATION_PENDING,
    EXPIRED_TOKEN,
    INVALID_GRANT,
    SLOW_DOWN,
    UNAUTHORIZED_CLIENT,
    OAuthError,
)
from homeserver.protocol.oauth.scopes import parse_scope
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.sessions.tokens import hash_token
from homeserver.storage.oauth_device_codes import OAuthDeviceCodeRows, StoredDeviceCode

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

KIND: Final = "device"
LIFETIME_MS: Final = 30 * 60_000
INTERVAL_MS: Final = 5_000
# How long an expired one is remembered, so that its device is told that it has expired.
KEPT_MS: Final = 60 * 60_000
# RFC 8628, 6.1: 20^8 codes that spell no words; guesses are limited by address and by user.
USER_CODE_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_CHARACTERS: Final = 8
ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class BegunDeviceGrant:
    """The only moment at which the device's code is known."""

    device_code: str
    user_code: str
    """With a hyphen in its middle."""


@dataclass(frozen=True, slots=True)
class DeviceGrants:
    """Begun by a device, decided in a browser, redeemed by the device: see tokens.py."""

    database: Database
    rows: OAuthDeviceCodeRows
    browsers: BrowserSessions
    clock: Clock
    audit: AuditLog

    async def begin(self, client: ClientMetadata, scope_text: str) -> BegunDeviceGrant:
        """Raises OAuthError."""
        if DEVICE_CODE not in client.grant_types:
            raise OAuthError(UNAUTHORIZED_CLIENT, "This client did not register for the device authorization grant")
        scope = parse_scope(scope_text)
        device_code = "vcdc_" + secrets.token_urlsafe(32)
        for _ in range(ATTEMPTS):
            user_code = "".join(secrets.choice(USER_CODE_ALPHABET) for _ in range(USER_CODE_CHARACTERS))
            stored = StoredDeviceCode(
                hash_token(device_code),
                user_code,
                client.client_id,
                scope.device_id,
                scope.text,
                granted=None,
                user_id=None,
                interval_ms=INTERVAL_MS,
                expires_ms=self.clock.now_ms() + LIFETIME_MS,
            )
            if await self.rows.add(self.database, stored):
                return BegunDeviceGrant(device_code, f"{user_code[:4]}-{user_code[4:]}")
        raise errors.Unavailable("No code is free: try again later")

    async def find(self, typed: str) -> StoredDeviceCode:
        """The one that waits with this code, however it is written. Raises NotFound."""
        code = "".join(character for character in typed.upper() if character in USER_CODE_ALPHABET)
        found = None
        if len(code) == USER_CODE_CHARACTERS:
            found = await self.rows.by_user_code(self.database, code, self.clock.now_ms())
        if found is None:
            raise errors.NotFound("There is no such code (any more). Look at your device again.")
        return found

    async def begin_decision(self, browser: Browser, code: StoredDeviceCode) -> Pending:
        """The browser came to decide."""
        return await self.browsers.begin(browser, KIND, {"device_code_hash": code.device_code_hash.hex()})

    async def of(self, pending: Pending) -> StoredDeviceCode:
        """What is to be decided. Raises NotFound."""
        found = await self.rows.by_hash(self.database, bytes.fromhex(pending.memory["device_code_hash"]))
        if found is None or found.granted is not None or found.expires_ms <= self.clock.now_ms():
            raise errors.NotFound("This code is not asked for (any more). Look at your device again.")
        return found

    async def decide(self, browser: Browser, pending: Pending, address: str, *, granted: bool) -> None:
        """Raises Forbidden, NotFound."""
        user_id, code = browser.require_user(), await self.of(pending)
        async with self.database.transaction() as tx:
            await self.browsers.finish(tx, pending)
            now_ms = self.clock.now_ms()
            if not await self.rows.decide(tx, code.device_code_hash, granted, user_id, now_ms):
                raise errors.NotFound("This code is not asked for (any more). Look at your device again.")
            action = "oauth.device_grant" if granted else "oauth.device_refuse"
            details = {"client": code.client_id, "device": code.device_id}
            await self.audit.record_as(tx, user_id, action, user_id, details, address=address)
            if granted:
                await self.browsers.device_granted(tx, browser, code.device_id)

    async def poll(self, client: ClientMetadata, device_code: str) -> StoredDeviceCode:
        """The device asks whether somebody agreed: then what it was granted. Raises OAuthError."""
        asked = await self.rows.poll(self.database, hash_token(device_code), self.clock.now_ms())
        if asked is None or asked[0].client_id != client.client_id:
            raise OAuthError(INVALID_GRANT, "This device code is not known")
        code, too_soon = asked
        if code.granted is False:
            raise OAuthError(ACCESS_DENIED, "The user did not agree")
        if code.expires_ms <= self.clock.now_ms():
            raise OAuthError(EXPIRED_TOKEN, "Nobody agreed in time")
        if too_soon:
            raise OAuthError(SLOW_DOWN, f"Ask every {code.interval_ms // 1000} seconds")
        if code.granted is None:
            raise OAuthError(AUTHORIZATION_PENDING, "Nobody has agreed so far")
        return code

    async def tidy(self) -> None:
        """Housekeeping."""
        await self.rows.forget_expired(self.database, self.clock.now_ms() - KEPT_MS)
