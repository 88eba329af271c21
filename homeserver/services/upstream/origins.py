"""With which session of a provider somebody signed in, and its end: what began with it ends with it.

Source: OpenID Connect Back-Channel Logout 1.0, section 2.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser
from homeserver.services.devices import Devices
from homeserver.services.upstream.jwt import LEEWAY_S
from homeserver.services.upstream.secrets import hash_of
from homeserver.storage.sign_in_origins import Origin, SignInOriginRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

# Longer than any code of OAuth is good for.
GRANTED_MS: Final = 30 * 60_000


@dataclass(frozen=True, slots=True)
class Origins:
    """Sign-ins by provider."""

    database: Database
    rows: SignInOriginRows
    devices: Devices
    clock: Clock
    audit: AuditLog

    async def signed_in(self, browser_id: int, origin: Origin) -> None:
        """In a browser."""
        await self.rows.of_browser(self.database, browser_id, origin)

    async def device_from_browser(self, user_id: str, device_id: str, browser_id: int) -> None:
        """A session of a device began in a browser, by login token."""
        await self.rows.of_device(self.database, user_id, device_id, browser_id)

    async def device_granted(self, tx: Queries, browser: Browser, device_id: str) -> None:
        """The same by OAuth: somebody has agreed, and the device comes later."""
        expires_ms = self.clock.now_ms() + GRANTED_MS
        await self.rows.expect(tx, browser.require_user(), device_id, browser.browser_id, expires_ms)

    async def device_made(self, user_id: str, device_id: str) -> None:
        """A device has come, granted or not."""
        await self.rows.came(self.database, user_id, device_id, self.clock.now_ms())

    async def logged_out(self, provider_id: str, claims: Mapping[str, Any], token: str, address: str) -> None:
        """The claims of a logout token have been checked. The same token once more ends nothing."""
        person, sid = claims.get("sub"), claims.get("sid")
        # "If sid is present, only that session": the person's others stay.
        sid = sid if isinstance(sid, str) else None
        async with self.database.transaction() as tx:
            expires_ms = int((claims["exp"] + LEEWAY_S) * 1000)
            if not await self.rows.use_token(tx, hash_of(token), expires_ms):
                return
            devices = await self.rows.devices(tx, provider_id, person, sid)
            await self.rows.end_browsers(tx, provider_id, person, sid)
            details = {"provider": provider_id, "devices": len(devices), "sid": sid}
            await self.audit.record_as(
                tx, f"provider:{provider_id}", "user.provider_logout", str(person or sid), details, address=address
            )
        by_user: dict[str, list[str]] = {}
        for user_id, device_id in devices:
            by_user.setdefault(user_id, []).append(device_id)
        # A person has one account here: this is one round.
        for user_id, device_ids in by_user.items():
            await self.devices.delete(user_id, device_ids)

    async def tidy(self) -> None:
        """Housekeeping."""
        await self.rows.forget_expired(self.database, self.clock.now_ms())
