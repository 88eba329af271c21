"""The way of another server to this one. Server-server API, "Resolving server names" and what follows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from homeserver.federation.addresses import AddressGuard
from homeserver.federation.checkup.answers import PASS_ON, judge_clock, judge_keys, judge_version
from homeserver.federation.checkup.certificate import look_at_certificate
from homeserver.federation.checkup.finding import Finding
from homeserver.federation.connections import Outgoing
from homeserver.federation.keyring import SERVER_KEYS
from homeserver.federation.well_known import PATH, read_delegation
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import parse_server_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from homeserver.federation.connections import Connections
    from homeserver.federation.dns import Dns, SocketAddress
    from homeserver.federation.resolver import Resolver, Route, Target
    from homeserver.federation.well_known import Page
    from homeserver.protocol.signing import SigningKey

VERSION: Final = "/_matrix/federation/v1/version"
MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checkup:
    """`connections` may go anywhere, also inside: `refused` are the networks that others do not go to.

    `now_ms`: of keys; `wall_ms`: what the Date of answers is compared with.
    """

    server_name: str
    key: SigningKey
    dns: Dns
    resolver: Resolver
    connections: Connections
    refused: Sequence[str]
    now_ms: Callable[[], int]
    wall_ms: Callable[[], int]

    async def run(self) -> AsyncIterator[Finding]:
        """Everything that can be seen, in order."""
        yield await self._delegation()
        try:
            route = await self.resolver.resolve(self.server_name)
        except MatrixError as error:
            yield Finding(
                False, f"Others cannot find the server {self.server_name}: {error.message}. Correct its DNS records."
            )
            return
        targets = ", ".join(f"{each.host} port {each.port}" for each in route.targets)
        yield Finding(
            True, f"Others look for {self.server_name} at {targets}, with a certificate for {route.tls_name}."
        )
        for target in route.targets:
            async for finding in self._target(target, route):
                yield finding
        async for finding in self._answers(route):
            yield finding

    async def _delegation(self) -> Finding:
        address = parse_server_name(self.server_name)
        if address.is_ip_literal or address.port is not None:
            return Finding(True, f"{self.server_name} names its place itself: there is no delegation.")
        url = f"https://{address.host}{PATH}"
        try:
            page = await self.connections.page(url, MAX_BYTES)
        except (OSError, ValueError, TimeoutError) as error:
            return Finding(True, f"{url} cannot be had ({error}): there is no delegation by it.")
        if page.status in (404, 410):
            return Finding(True, f"{url} does not exist: there is no delegation by it.")
        if 300 <= page.status < 400:
            return Finding(True, f"{url} leads elsewhere; others follow that.")
        try:
            return Finding(True, f"{url} delegates to {read_delegation(page)}.")
        except (ValueError, MatrixError) as error:
            what = error.message if isinstance(error, MatrixError) else str(error)
            advice = 'let it answer {"m.server": "host:port"}, or 404'
            return Finding(False, f"{url} is nothing that others understand ({what}): {advice}.")

    async def _target(self, target: Target, route: Route) -> AsyncIterator[Finding]:
        try:
            addresses = await self.dns.addresses(target.host, target.port)
        except (OSError, UnicodeError):
            yield Finding(False, f"{target.host} has no address in the DNS: add an A or AAAA record.")
            return
        guard = AddressGuard(self.refused)
        for address in addresses:
            if not guard.allows(address.ip):
                yield Finding(
                    False,
                    f"{target.host} leads to {address.ip}, which others do not contact because it is not on the Internet: "
                    "let the name lead to the public address.",
                )
            yield await self._certificate(address, route.tls_name)

    async def _certificate(self, address: SocketAddress, name: str) -> Finding:
        return await look_at_certificate(address, name, self.connections.ca_file, self.wall_ms() / 1000)

    async def _answers(self, route: Route) -> AsyncIterator[Finding]:
        try:
            version = await self._get(route, VERSION)
            keys = await self._get(route, SERVER_KEYS)
        except (aiohttp.ClientError, OSError, TimeoutError, MatrixError) as error:
            yield Finding(False, f"The server could not be asked anything ({type(error).__name__}): {PASS_ON}.")
            return
        yield judge_version(version)
        yield judge_clock(version, self.wall_ms())
        yield judge_keys(keys, self.server_name, self.key, self.now_ms())

    async def _get(self, route: Route, uri: str) -> Page:
        return await self.connections.send(route, Outgoing("GET", uri), MAX_BYTES)
