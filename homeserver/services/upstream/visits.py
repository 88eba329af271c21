"""Browsers that are at a provider: each answer belongs to one request of one browser, and counts once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.upstream.secrets import MAX_STATE_CHARACTERS, FlowSecrets
from homeserver.storage.provider_visits import ProviderVisitRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

# Long enough to find a password and a phone.
VISIT_MS: Final = 15 * 60_000
UNASKED: Final = (
    "This sign-in was not begun in this browser, or it was finished or too long ago. Begin again where you came from."
)


@dataclass(frozen=True, slots=True)
class Visits:
    """`begin` before the browser goes, `end` when it is back."""

    queries: Queries
    rows: ProviderVisitRows
    browsers: BrowserSessions
    clock: Clock

    async def begin(self, browser: Browser, pending: Pending, provider_id: str) -> FlowSecrets:
        """What the provider is asked with."""
        secrets = FlowSecrets.new(browser.token)
        expires_ms = self.clock.now_ms() + VISIT_MS
        await self.rows.begin(
            self.queries, secrets.state_hash, provider_id, pending.pending_id, browser.browser_id, expires_ms
        )
        return secrets

    async def end(self, browser: Browser | None, provider_id: str, state: str | None) -> tuple[FlowSecrets, Pending]:
        """What the answer belongs to. Raises Forbidden for answers that nobody here waits for, NotFound."""
        if browser is None or not state or len(state) > MAX_STATE_CHARACTERS:
            raise Forbidden(UNASKED)
        secrets = FlowSecrets(state, browser.token)
        now_ms = self.clock.now_ms()
        found = await self.rows.end(self.queries, secrets.state_hash, provider_id, browser.browser_id, now_ms)
        if found is None:
            raise Forbidden(UNASKED)
        return secrets, await self.browsers.pending(browser, found)

    async def tidy(self) -> None:
        """Housekeeping, of arrivals as well."""
        await self.rows.forget_expired(self.queries, self.clock.now_ms())
