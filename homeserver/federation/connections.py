"""Connections to other servers: to checked addresses only, with the right certificate, and no more answer than wanted."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from homeserver.federation.addresses import AddressGuard
from homeserver.federation.dns import Dns
from homeserver.federation.errors import BadAnswer
from homeserver.federation.resolver import Route
from homeserver.federation.well_known import Page
from homeserver.protocol.errors import ConnectionTimeout

MAX_CONNECTIONS: Final = 1_000
# A server that answers slowly holds up nobody but those who ask it.
MAX_CONNECTIONS_PER_SERVER: Final = 16
CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 60.0
# A file may take long, but something of it has to come.
STALL_S: Final = 30.0
USER_AGENT: Final = "VoiceChat"
# What is not compressed cannot grow in our memory.
HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request. `uri`: path and query, encoded, exactly as signed."""

    method: str
    uri: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is read as it comes, and never longer than its reader wants. `close` ends it."""

    _response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive."""
        return self._response.headers

    @property
    def length(self) -> int | None:
        """In bytes, as announced."""
        return self._response.content_length

    async def pieces(self, stall_s: float = STALL_S) -> AsyncIterator[bytes]:
        """Raises BadAnswer where it breaks off, ConnectionTimeout where nothing comes for `stall_s` seconds."""
        try:
            while True:
                async with asyncio.timeout(stall_s):
                    piece = await self._response.content.readany()
                if not piece:
                    return
                yield piece
        except TimeoutError as error:
            raise ConnectionTimeout() from error
        except (aiohttp.ClientError, OSError) as error:
            raise BadAnswer("The other server's answer broke off") from error

    def close(self) -> None:
        """Nothing more is read."""
        self._response.close()


class Names(AbstractResolver):
    """Our DNS in the form that aiohttp asks."""

    def __init__(self, dns: Dns) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            addresses = await self._dns.addresses(host, port)
        except UnicodeError as error:
            raise OSError(f"{host!r} cannot be a name of the DNS") from error
        return [_result(host, address.ip, address.port) for address in addresses]

    async def close(self) -> None:
        """Nothing here is open."""


def _result(host: str, ip: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=ip, port=port, family=family, proto=socket.IPPROTO_TCP, flags=flags)


def bare_session(
    connector: aiohttp.TCPConnector, headers: Mapping[str, str], connect_timeout_s: float
) -> aiohttp.ClientSession:  # fmt: skip
    """Keeps nothing that strangers send (cookies), unpacks nothing, and takes nothing from the environment (proxies)."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        headers=headers,
        auto_decompress=False,
        trust_env=False,
    )


@dataclass(slots=True)
class Connections:
    """From the first request to `close()`. Redirects, cookies and proxies of the environment are not followed."""

    dns: Dns
    guard: AddressGuard
    ca_file: Path | None = None
    """A CA that is trusted besides those of the system."""
    verify_tls: bool = True
    """False for tests only: any certificate will do."""
    _session: aiohttp.ClientSession | None = None
    _tls: ssl.SSLContext | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closed: bool = False

    async def check(self) -> None:
        """Read the `ca_file` now, so that a mistake is found at the start. Raises OSError or ssl.SSLError."""
        if self.ca_file is not None:
            await self._context()

    async def _context(self) -> ssl.SSLContext:
        """Made when it is first needed, and elsewhere: reading all authorities of a system takes a while."""
        async with self._lock:
            if self._tls is None:
                self._tls = await asyncio.to_thread(tls_context, self.ca_file)
            return self._tls

    async def _open(self) -> aiohttp.ClientSession:
        context = await self._context()
        if self._closed:
            raise OSError("connections to other servers are closed")
        if self._session is None:
            self._session = self._new_session(context)
        return self._session

    def _new_session(self, context: ssl.SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=Names(self.dns),
            use_dns_cache=False,  # theirs has no bound
            ssl=context if self.verify_tls else False,
            limit=MAX_CONNECTIONS,
            limit_per_host=MAX_CONNECTIONS_PER_SERVER,
            keepalive_timeout=KEEPALIVE_S,
            socket_factory=self.guard.open_socket,
        )
        return bare_session(connector, HEADERS, CONNECT_TIMEOUT_S)

    async def close(self) -> None:
        """Close all connections; there are no new ones."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None
        self.dns.close()

    async def send(self, route: Route, request: Outgoing, max_bytes: int) -> Page:
        """The answer of the first place of the route that can be connected to.

        Raises aiohttp.ClientError, OSError or TimeoutError; BadAnswer for an answer above `max_bytes`. What was sent is
        not sent again.
        """
        async with await self._reach(route, request) as response:
            return Page(response.status, response.headers, await _body(response, max_bytes))

    async def open(self, route: Route, request: Outgoing) -> Streamed:
        """As `send`, for an answer that is read as it comes. The caller closes it."""
        return Streamed(await self._reach(route, request))

    async def open_page(self, url: str) -> Streamed:
        """A page of any https server as it comes. Raises OSError, ValueError or TimeoutError. The caller closes it."""
        session = await self._open()
        try:
            return Streamed(await session.get(URL(url), allow_redirects=False))
        except aiohttp.ClientError as error:
            raise OSError(f"{type(error).__name__}") from error

    async def _reach(self, route: Route, request: Outgoing) -> aiohttp.ClientResponse:
        session = await self._open()
        headers = {**request.headers, "Host": route.host_header}
        failure: Exception | None = None
        for target in route.targets:
            url = URL.build(scheme="https", host=_host(target.host), port=target.port).join(
                URL(request.uri, encoded=True)
            )
            try:
                return await session.request(
                    request.method,
                    url,
                    allow_redirects=False,
                    headers=headers,
                    data=request.body,
                    server_hostname=route.tls_name,
                )
            except aiohttp.ClientConnectorError as error:
                failure = error
        assert failure is not None, "a route has at least one target"
        raise failure

    async def post(self, url: str, body: bytes, content_type: str, max_bytes: int, timeout_s: float) -> Page:
        """The answer of any HTTP server to what is posted there. Raises OSError or TimeoutError."""
        session = await self._open()
        headers, limit = {"Content-Type": content_type}, aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with session.post(
                URL(url), data=body, headers=headers, allow_redirects=False, timeout=limit
            ) as response:
                return Page(response.status, response.headers, await _body(response, max_bytes))
        except (aiohttp.ClientError, BadAnswer, ValueError) as error:
            raise OSError(f"{type(error).__name__}") from error

    async def ask(
        self,
        method: str,
        url: str,
        max_bytes: int,
        timeout_s: float,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Page:
        """The answer of any HTTP server. Raises OSError, ValueError or TimeoutError."""
        session, limit = await self._open(), aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with session.request(
                method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False, timeout=limit
            ) as response:
                return Page(response.status, response.headers, await _body(response, max_bytes))
        except (aiohttp.ClientError, BadAnswer) as error:
            raise OSError(f"{type(error).__name__}") from error

    async def page(self, url: str, max_bytes: int) -> Page:
        """A page of any https server, as `well_known.Fetch` wants it."""
        session = await self._open()
        try:
            async with session.get(URL(url), allow_redirects=False) as response:
                return Page(response.status, response.headers, await _body(response, max_bytes))
        except (aiohttp.ClientError, BadAnswer) as error:
            raise OSError(f"{type(error).__name__}") from error


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and newer, certificates checked for their name. Raises OSError or ssl.SSLError for the file."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    if (response.content_length or 0) > max_bytes:
        raise BadAnswer("The other server's answer is too large")
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > max_bytes:
            raise BadAnswer("The other server's answer is too large")
    return bytes(body)


def _host(host: str) -> str:
    """yarl wants IPv6 addresses bare, and so does the grammar of server names; anything else stays as it is."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()
