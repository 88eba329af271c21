"""New cross-signing keys in the place of old ones, agreed to in a browser (MSC4312; "OAuth authentication")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser
from homeserver.storage.cross_signing_resets import CrossSigningResetRows
from homeserver.storage.oauth_grants import OAuthGrantRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.services.ui_auth.ui_auth import Flows, StageContext
    from homeserver.storage.database import Database

OAUTH: Final = "m.oauth"
# Before v1.17 of the specification.
UNSTABLE: Final = "org.matrix.cross_signing_reset"
FLOWS: Final[Flows] = ((OAUTH,), (UNSTABLE,))
ALLOWED_MS: Final = 10 * 60_000


def auth_in_browser(auth: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """ "The client submits an `auth` dict with just the `session`." """
    return auth if auth is None or auth.get("type") is not None else {**auth, "type": OAUTH}


@dataclass(frozen=True, slots=True)
class CrossSigningResets:
    """Agreements, each good for one upload within ten minutes. Also the stage that asks for one."""

    database: Database
    rows: CrossSigningResetRows
    grants: OAuthGrantRows
    clock: Clock
    audit: AuditLog

    async def allow(self, browser: Browser, address: str) -> None:
        """Raises Forbidden where nobody is signed in."""
        user_id = browser.require_user()
        async with self.database.transaction() as tx:
            await self.rows.allow(tx, user_id, self.clock.now_ms() + ALLOWED_MS)
            await self.audit.record_as(tx, user_id, "cross_signing.allow_reset", user_id, address=address)

    async def is_asked_of(self, requester: Requester) -> bool:
        """Whether this is how the requester proves himself: his device is signed in by OAuth."""
        return requester.device_nid != 0 and await self.grants.has(self.database, requester.device_nid)

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        """The stage: he has agreed. Raises Forbidden."""
        if context.user_id is None or not await self.rows.use(self.database, context.user_id, self.clock.now_ms()):
            raise errors.Forbidden("Agree on the page of your account first")
        return context.user_id

    async def tidy(self) -> None:
        """Housekeeping."""
        await self.rows.forget_expired(self.database, self.clock.now_ms())
