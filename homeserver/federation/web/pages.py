"""Pages of the web: one GET with its redirects, to addresses that are checked when the connection is made."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from homeserver.federation.addresses import AddressGuard
from homeserver.federation.connections import Names, bare_session, tls_context
from homeserver.federation.dns import Dns
from homeserver.federation.web.unpacking import ACCEPTED, unpacked
from homeserver.protocol.errors import BadGateway, MatrixError
from homeserver.protocol.server_acl import ServerAcl
from homeserver.services.previews.urls import page_url

MAX_REDIRECTS: Final = 5
MAX_CONNECTIONS: Final = 50
MAX_CONNECTIONS_PER_HOST: Final = 6
CONNECT_TIMEOUT_S: Final = 5.0
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# One sentence for names that do not exist, addresses that are not contacted and ports where nobody listens: the network
# inside is nobody's business.
CANNOT_BE_HAD: Final = "The page cannot be had"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page of which nothing but the head has been read. `url` is where the redirects ended."""

    url: URL
    content_type: str
    """Without parameters, in lower case."""
    charset: str | None
    _pieces: AsyncIterator[bytes]

    async def beginning(self, max_bytes: int) -> bytes:
        """As much as is wanted, or all. Raises BadGateway where it breaks off."""
        body = bytearray()
        async for piece in self._pieces:
            body += piece
            if len(body) >= max_bytes:
                break
        return bytes(body[:max_bytes])

    async def whole(self, max_bytes: int) -> bytes:
        """All. Raises BadGateway where it breaks off, or is more than that."""
        body = await self.beginning(max_bytes + 1)
        if len(body) > max_bytes:
            raise BadGateway("What is there is too large")
        return body


@dataclass(slots=True)
class WebPages:
    """`open` is the only verb. `deny`: hosts that are not asked, as names or patterns. Cookies and proxies of the
    environment are not used.
    """

    dns: Dns
    guard: AddressGuard
    user_agent: str
    languages: str
    deny: Sequence[str] = ()
    verify_tls: bool = True
    ca_file: Path | None = None
    _denied: ServerAcl = field(init=False)
    _session: aiohttp.ClientSession | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._denied = ServerAcl.of({"allow": ["*"], "deny": list(self.deny)})

    @asynccontextmanager
    async def open(self, url: URL, accept: str) -> AsyncIterator[OpenPage]:
        """The page at the end of the redirects. The caller sees to it that it does not take too long.

        Raises BadGateway for every page that cannot be had.
        """
        response = await self._follow(url, accept)
        try:
            pieces = unpacked(_pieces(response), response.headers.get("Content-Encoding", ""))
            yield OpenPage(response.url, response.content_type.lower(), _charset(response), pieces)
        finally:
            # Not released: what was not read is not wanted.
            response.close()

    async def _follow(self, url: URL, accept: str) -> aiohttp.ClientResponse:
        for _ in range(1 + MAX_REDIRECTS):
            response = await self._get(url, accept)
            if response.status == 200:
                return response
            response.close()
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or target is None:
                raise BadGateway(f"{CANNOT_BE_HAD}: its server answered {response.status}")
            url = _redirected(target, url)
        raise BadGateway("The page is always somewhere else: too many redirects")

    async def _get(self, url: URL, accept: str) -> aiohttp.ClientResponse:
        if not self._denied.allows(url.raw_host or ""):
            raise BadGateway(CANNOT_BE_HAD)
        session = await self._opened()
        try:
            return await session.get(url, allow_redirects=False, headers={"Accept": accept})
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # What our users link to is not for the log of every day.
            log.debug("a page of %s: %s", url.host, type(error).__name__)
            raise BadGateway(CANNOT_BE_HAD) from error

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                context = await asyncio.to_thread(tls_context, self.ca_file) if self.verify_tls else False
                self._session = self._new_session(context)
            return self._session

    def _new_session(self, context: ssl.SSLContext | bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=Names(self.dns),
            use_dns_cache=False,
            ssl=context,
            limit=MAX_CONNECTIONS,
            limit_per_host=MAX_CONNECTIONS_PER_HOST,
            force_close=True,
            socket_factory=self.guard.open_socket,
        )
        headers = {"User-Agent": self.user_agent, "Accept-Language": self.languages, "Accept-Encoding": ACCEPTED}
        return bare_session(connector, headers, CONNECT_TIMEOUT_S)

    async def close(self) -> None:
        """No pages afterwards."""
        if self._session is not None:
            await self._session.close()
        self.dns.close()


def _redirected(target: str, url: URL) -> URL:
    try:
        return page_url(target, url)
    except MatrixError as error:
        raise BadGateway(CANNOT_BE_HAD) from error


def _charset(response: aiohttp.ClientResponse) -> str | None:
    # Of a header that cannot be parsed, nothing is known.
    try:
        return response.charset
    except (ValueError, LookupError):
        return None


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        while piece := await response.content.readany():
            yield piece
    except (aiohttp.ClientError, OSError) as error:
        raise BadGateway("The page broke off") from error
