"""Somebody signs in with a provider: there, and back, and on with what his browser came for.

The eight steps: he presses the button (1), the browser goes to the provider (2, `start`), he says there who he is (3), the
browser comes back with a code (4, `finish`), the code becomes an ID token (5) and what the provider knows of him (6); he
has an account, or gets one with his name and picture (7), and the browser goes on, signed in by its cookie (8).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.browser_sessions.password_sign_in import SIGN_IN_FAILED
from homeserver.services.upstream.arrivals import Arrival, Arrivals
from homeserver.services.upstream.claims import Person
from homeserver.services.upstream.client import Proved, ProviderClient
from homeserver.services.upstream.linked import CONNECT
from homeserver.services.upstream.origins import Origins
from homeserver.services.upstream.provider import Provider
from homeserver.services.upstream.provisioning import Found, Provisioning, Undecided
from homeserver.services.upstream.visits import Visits
from homeserver.storage.sign_in_origins import Origin

ARRIVAL_PATH: Final = f"{SIGN_IN_PATH}/which-account"
CONNECTIONS_PATH: Final = f"{SIGN_IN_PATH}/connections"
UI_AUTH: Final = "ui_auth"
"""Kind of pending: somebody who has an account proves that it is he."""

SignedIn = Callable[[str, str, "Sequence[str] | None"], Awaitable[None]]

log = logging.getLogger(__name__)


class FillProfile(Protocol):
    """services/upstream/profile.py."""

    async def __call__(self, user_id: str, person: Person, *, is_new: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class ProviderSignIn:
    """`clients`: by the provider's id."""

    clients: Mapping[str, ProviderClient]
    browsers: BrowserSessions
    visits: Visits
    arrivals: Arrivals
    provisioning: Provisioning
    origins: Origins
    fill_profile: FillProfile
    audit: AuditLog
    on_signed_in: list[SignedIn] = field(default_factory=list)
    """Called with the user, the provider's id and his groups there (None: it does not say), before the browser goes on."""

    def client(self, provider_id: str) -> ProviderClient:
        """Raises NotFound."""
        found = self.clients.get(provider_id)
        if found is None:
            raise errors.NotFound("There is no such provider here")
        return found

    async def start(self, browser: Browser, pending: Pending, provider_id: str) -> str:
        """Where the browser goes. Raises NotFound, Unavailable, BadGateway."""
        client = self.client(provider_id)
        return await client.address(await self.visits.begin(browser, pending, provider_id))

    async def finish(
        self, browser: Browser | None, provider_id: str, answer: Mapping[str, str], address: str
    ) -> tuple[Browser, str]:
        """The browser is back. Returns it, to keep its cookie, and where it goes on.

        Raises NotFound; Forbidden for what cannot be believed and for who may not come in; Unavailable, BadGateway;
        UserDeactivated, UserLocked.
        """
        client = self.client(provider_id)
        secrets, pending = await self.visits.end(browser, provider_id, answer.get("state"))
        assert browser is not None, "no answer ends without a browser"
        try:
            proved = await client.proved(secrets, answer)
            return await self.came(browser, pending, client.provider, proved, address)
        except errors.Forbidden as error:
            details = {"method": method_of(provider_id), "why": error.message}
            await self.audit.record_as(
                self.browsers.database, "browser", SIGN_IN_FAILED, provider_id, details, address=address
            )
            raise

    async def came(
        self, browser: Browser, pending: Pending, provider: Provider, proved: Proved, address: str
    ) -> tuple[Browser, str]:
        """Who he is has been proved. As `finish`."""
        if pending.kind == CONNECT and pending.is_satisfied_by(browser):
            return await self._connect(browser, pending, provider, proved.person, address)
        arrived = await self.provisioning.arrive(provider, proved.person, address)
        if isinstance(arrived, Found):
            return await self._go_on(browser, pending, provider, proved, arrived, address)
        if pending.kind == UI_AUTH:
            raise errors.Forbidden("This account of your provider belongs to no account here")
        await self.arrivals.wait(pending, Arrival(provider.id, proved))
        return browser, f"{ARRIVAL_PATH}?pending={pending.pending_id}"

    async def _connect(
        self, browser: Browser, pending: Pending, provider: Provider, person: Person, address: str
    ) -> tuple[Browser, str]:
        """He is signed in here, and has proved who he is there: both are his."""
        user_id = browser.require_user()
        if await self.provisioning.owner(provider, person) != user_id:
            await self.provisioning.link(provider, person, user_id, address)
        return browser, await self.browsers.continue_(browser, pending)

    async def with_name(self, browser: Browser, pending: Pending, localpart: str, address: str) -> tuple[Browser, str]:
        """A new account with a name of his choice. Raises NotFound, InvalidUsername, Exclusive, UserInUse, Forbidden."""
        arrival = await self.arrivals.find(pending)
        provider = self.client(arrival.provider_id).provider
        found = await self.provisioning.register(provider, arrival.proved.person, localpart, address)
        await self.arrivals.settle(pending)
        return await self._go_on(browser, pending, provider, arrival.proved, found, address)

    async def with_account(self, browser: Browser, pending: Pending, user_id: str, address: str) -> tuple[Browser, str]:
        """He has proved that this account is his as well. Raises NotFound, Conflict, UserDeactivated, Forbidden."""
        arrival = await self.arrivals.find(pending)
        provider = self.client(arrival.provider_id).provider
        found = await self.provisioning.link(provider, arrival.proved.person, user_id, address)
        await self.arrivals.settle(pending)
        return await self._go_on(browser, pending, provider, arrival.proved, found, address)

    async def wanted_name(self, pending: Pending) -> tuple[Provider, Undecided]:
        """Who waits, and the name that he would have had. Raises NotFound."""
        arrival = await self.arrivals.find(pending)
        return self.client(arrival.provider_id).provider, await self.provisioning.name_of(arrival.proved.person)

    async def _go_on(
        self, browser: Browser, pending: Pending, provider: Provider, proved: Proved, found: Found, address: str
    ) -> tuple[Browser, str]:
        browser, pending = await self.browsers.signed_in(
            browser, pending, found.user_id, (method_of(provider.id),), address
        )
        person = proved.person
        await self.origins.signed_in(browser.browser_id, Origin(provider.id, person.external_id, proved.sid))
        if found.is_new or provider.policy.updates_profile:
            await self.fill_profile(found.user_id, person, is_new=found.is_new)
        for hook in self.on_signed_in:
            try:
                await hook(found.user_id, provider.id, person.groups)
            except Exception:
                # He is who he is: what follows from it is looked at again every night.
                log.exception("what follows from the sign-in of %s could not be done", found.user_id)
        return browser, await self.browsers.continue_(browser, pending)


def method_of(provider_id: str) -> str:
    """How he proved who he is, as browsers and the audit log have it."""
    return f"sso:{provider_id}"
