"""`https://<hostname>/.well-known/matrix/server`: where a domain says that its homeserver is.

Source: server-server API, "Resolving server names", step 3.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urljoin, urlsplit

from homeserver.federation.bounded import Bounded
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.canonical_json import decode_json
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import is_server_name

if TYPE_CHECKING:
    from homeserver.services.clock import Clock

PATH: Final = "/.well-known/matrix/server"
MAX_BYTES: Final = 50 * 1024
MAX_REDIRECTS: Final = 30
TIME_LIMIT_S: Final = 20.0
MAX_HOSTS: Final = 10_000
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
# "The recommended sensible default is 24 hours"; "a maximum cache time … 48 hours is recommended". The minimum is ours:
# a domain that forbids caching would have to be asked for every request.
DEFAULT_LIFETIME_MS: Final = 24 * HOUR_MS
MAX_LIFETIME_MS: Final = 48 * HOUR_MS
MIN_LIFETIME_MS: Final = 5 * MINUTE_MS
# "Errors are recommended to be cached for up to an hour, and servers are encouraged to exponentially back off".
FIRST_PAUSE_MS: Final = 2 * MINUTE_MS
MAX_PAUSE_MS: Final = HOUR_MS

_MAX_AGE = re.compile(r"(?:\A|[,\s])max-age\s*=\s*\"?(\d{1,10})", re.ASCII | re.IGNORECASE)
_NO_CACHE = re.compile(r"(?:\A|[,\s])no-(?:store|cache)\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a GET, without redirects followed. `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Gets a page from the Internet. Implemented by connections.py, which checks where it leads."""

    async def __call__(self, url: str, max_bytes: int) -> Page:
        """Raises OSError, ValueError or TimeoutError where it cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    """`delegated` is None after an error, of which there were `errors` in a row."""

    delegated: str | None
    ask_again_ms: int
    good_until_ms: int = 0
    errors: int = 0


def _known() -> Bounded[str, _Known]:
    return Bounded(MAX_HOSTS)


@dataclass(slots=True)
class WellKnown:
    """Asks each host once, and remembers what it said."""

    fetch: Fetch
    clock: Clock
    time_limit_s: float = TIME_LIMIT_S
    _known: Bounded[str, _Known] = field(default_factory=_known)
    _asking: SingleFlight[str | None] = field(default_factory=SingleFlight)

    async def delegated(self, host: str) -> str | None:
        """The server name that the host delegates to; None where it does not, or says so in a way nobody understands."""
        known = self._known.get(host)
        if known is not None and self.clock.now_ms() < known.ask_again_ms:
            return known.delegated
        return await self._asking.run(host, lambda: self._ask(host, known))

    async def stop(self) -> None:
        """Ask no more."""
        await self._asking.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Hosts remembered."""
        return {"hosts": len(self._known)}

    async def _ask(self, host: str, before: _Known | None) -> str | None:
        try:
            async with asyncio.timeout(self.time_limit_s):
                page = await self._follow(f"https://{host}{PATH}")
            delegated = read_delegation(page)
        except (OSError, ValueError, TimeoutError, MatrixError):
            known = self._after_error(before)
        else:
            now_ms, lifetime = self.clock.now_ms(), lifetime_ms(page.headers)
            known = _Known(delegated, now_ms + lifetime, now_ms + MAX_LIFETIME_MS)
        self._known.put(host, known)
        return known.delegated

    def _after_error(self, before: _Known | None) -> _Known:
        """What was said before holds on for a while: a web server that is away must not take the homeserver with it."""
        errors = before.errors + 1 if before is not None else 1
        now_ms = self.clock.now_ms()
        ask_again_ms = now_ms + min(FIRST_PAUSE_MS * 2 ** min(errors - 1, 10), MAX_PAUSE_MS)
        if before is not None and before.delegated is not None and now_ms < before.good_until_ms:
            return _Known(before.delegated, ask_again_ms, before.good_until_ms, errors)
        return _Known(None, ask_again_ms, 0, errors)

    async def _follow(self, url: str) -> Page:
        """ "30x redirects should be followed, however redirection loops should be avoided." """
        seen = set()
        for _ in range(MAX_REDIRECTS + 1):
            if url in seen or urlsplit(url).scheme != "https":
                raise ValueError("redirected in a circle, or to something that is not https")
            seen.add(url)
            page = await self.fetch(url, MAX_BYTES)
            if page.status not in REDIRECTS:
                return page
            url = urljoin(url, page.headers.get("Location", ""))
        raise ValueError("redirected too often")


def read_delegation(page: Page) -> str:
    """The `m.server` of an answer; "assume that the body is JSON regardless of type". Raises ValueError or MatrixError."""
    if page.status != 200:
        raise ValueError(f"status {page.status}")
    document = decode_json(page.body)
    delegated = document.get("m.server") if isinstance(document, dict) else None
    if not isinstance(delegated, str) or not is_server_name(delegated):
        raise ValueError("'m.server' is not a server name")
    return delegated


def lifetime_ms(headers: Mapping[str, str]) -> int:
    """How long an answer is remembered, from its Cache-Control, within our limits."""
    control = headers.get("Cache-Control", "")
    if _NO_CACHE.search(control):
        return MIN_LIFETIME_MS
    max_age = _MAX_AGE.search(control)
    wanted = int(max_age[1]) * 1000 if max_age is not None else DEFAULT_LIFETIME_MS
    return min(max(wanted, MIN_LIFETIME_MS), MAX_LIFETIME_MS)
