"""`services.previews.previews.UrlPreviews`: what is known already, or what the page says now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from yarl import URL

from homeserver.federation.media.slots import Slots
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.errors import BadGateway, LimitExceeded, Unavailable
from homeserver.services.previews.urls import page_url
from homeserver.storage.url_previews import UrlPreviewRows

if TYPE_CHECKING:
    from homeserver.federation.web.making import PreviewMaker
    from homeserver.services.clock import Clock
    from homeserver.services.previews.previews import Facts
    from homeserver.storage.database import Queries

PAGES_AT_ONCE: Final = 24
PAGES_PER_USER: Final = 4
MAX_WAITING: Final = 2_000
MAX_WAITING_OF_USER: Final = 64
"""Whose own slow pages hold him up; whoever scrolls back past a hundred links asks for the rest when he sees them."""
SOON_MS: Final = 5_000
FAILED_MS: Final = 5 * 60_000
KEPT_FOR_HISTORY_MS: Final = 7 * 24 * 60 * 60_000
"""Who scrolls back gets the page as it was when the message was new, if somebody looked at it then."""
MAX_PREVIEWS: Final = 50_000


def _slots() -> Slots:
    return Slots(PAGES_AT_ONCE, PAGES_PER_USER)


@dataclass(frozen=True, slots=True)
class Previews:
    """A page is looked at again after `lifetime_ms`."""

    queries: Queries
    rows: UrlPreviewRows
    maker: PreviewMaker
    clock: Clock
    lifetime_ms: int
    _slots: Slots = field(default_factory=_slots)
    _making: SingleFlight[dict[str, Any]] = field(default_factory=SingleFlight)

    async def preview(self, user_id: str, url: str, at_ms: int | None) -> Facts:
        """Raises InvalidParam, BadGateway, LimitExceeded, Unavailable."""
        address, now_ms = page_url(url), self.clock.now_ms()
        known = await self.rows.find(self.queries, str(address), min(at_ms or now_ms, now_ms), now_ms)
        if known is not None:
            return _facts(known.facts)
        if self._making.is_running(str(address)):
            return await self._making.run(str(address), lambda: self._look(address))
        if self._slots.people_of(user_id) >= MAX_WAITING_OF_USER:
            raise LimitExceeded("You are waiting for too many pages", retry_after_ms=SOON_MS)
        if self._slots.people >= MAX_WAITING:
            raise Unavailable("Too many pages are being looked at")
        return await self._in_turn(user_id, address)

    async def _in_turn(self, user_id: str, url: URL) -> dict[str, Any]:
        """One user's many slow pages hold up nobody but him, also not those who want one of the pages that he waits for."""
        has_to_wait = self._slots.people_of(user_id) >= PAGES_PER_USER or self._slots.people >= PAGES_AT_ONCE
        async with self._slots.take(user_id):
            now_ms = self.clock.now_ms()
            # Somebody else may have had his turn with it before.
            known = await self.rows.find(self.queries, str(url), now_ms, now_ms) if has_to_wait else None
            if known is not None:
                return _facts(known.facts)
            return await self._making.run(str(url), lambda: self._look(url))

    async def _look(self, url: URL) -> dict[str, Any]:
        try:
            made = await self.maker.make(url)
        except BadGateway:
            await self._remember(url, FAILED_MS, None, None)
            raise
        await self._remember(url, self.lifetime_ms, orjson.dumps(made.facts).decode(), made.picture)
        return made.facts

    async def _remember(self, url: URL, lifetime_ms: int, facts: str | None, picture: str | None) -> None:
        now_ms = self.clock.now_ms()
        await self.rows.add(self.queries, str(url), now_ms, now_ms + lifetime_ms, facts, picture)

    async def tidy(self) -> None:
        """Housekeeping: forget previews that nobody can want any more."""
        await self.rows.forget_expired(self.queries, self.clock.now_ms() - KEPT_FOR_HISTORY_MS)
        await self.rows.forget_oldest(self.queries, MAX_PREVIEWS)

    async def stop(self) -> None:
        """Look at no more pages."""
        await self._making.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Pages under way, and people who wait for one."""
        return {"making": len(self._making), "waiting": self._slots.people}


def _facts(stored: str | None) -> dict[str, Any]:
    if stored is None:
        raise BadGateway("The page could not be had a short while ago")
    facts: dict[str, Any] = orjson.loads(stored)
    return facts
