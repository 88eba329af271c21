"""Requests to identity servers that clients name: to checked addresses only, and with bounded answers.

Source: identity service API v2. Their name is a host and perhaps a port; there is no delegation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from homeserver.federation.connections import Outgoing
from homeserver.federation.resolver import Route, Target
from homeserver.protocol.canonical_json import decode_lenient, encode_canonical
from homeserver.protocol.errors import BadGateway, ConnectionFailed, ConnectionTimeout, MatrixError, ServerNotTrusted
from homeserver.protocol.identifiers import parse_server_name
from homeserver.protocol.x_matrix import sign_request
from homeserver.services.identity_servers.asking import IdentityReply

if TYPE_CHECKING:
    from homeserver.federation.connections import Connections
    from homeserver.federation.well_known import Page
    from homeserver.protocol.signing import SigningKey

PREFIX: Final = "/_matrix/identity/v2"
TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 64 * 1024
MAX_URL_CHARACTERS: Final = 1_000
HTTPS_PORT: Final = 443

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IdentityClient:
    """`allowed`: the only ones that are asked; all, where there are none."""

    server_name: str
    signing_key: SigningKey
    connections: Connections
    allowed: Collection[str] = ()

    async def ask(
        self,
        id_server: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        signed: bool = False,
    ) -> IdentityReply:
        """As services/identity_servers/asking.py says."""
        route = self._route(id_server)
        uri = PREFIX + path
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        elif signed:
            key = self.signing_key
            headers["Authorization"] = sign_request(key, method, uri, self.server_name, id_server, body)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = encode_canonical(body, strict=False)
        return _reply(await self._send(id_server, route, Outgoing(method, uri, headers, data)))

    def _route(self, id_server: str) -> Route:
        address = parse_server_name(id_server)
        self._check_allowed(id_server.lower())
        return Route(id_server, address.host, [Target(address.host, address.port or HTTPS_PORT)])

    def _check_allowed(self, *names: str) -> None:
        """Raises ServerNotTrusted where it is under none of these names."""
        if self.allowed and not any(name in self.allowed for name in names):
            raise ServerNotTrusted("This server does not talk to that identity server")

    async def _send(self, id_server: str, route: Route, request: Outgoing) -> Page:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self.connections.send(route, request, MAX_BYTES)
        except TimeoutError:
            raise ConnectionTimeout("The identity server takes too long to answer") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Which address, and why not, may say something about the network inside: that is for our own log.
            log.info("the identity server %s could not be reached: %s", id_server, type(error).__name__)
            raise ConnectionFailed("The identity server cannot be reached") from None

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        """As services/identity_servers/asking.py says."""
        try:
            question = _with_key(url, public_key)
            host = question.host_subcomponent or ""
            # The room says where to ask; the operator, whom.
            self._check_allowed(f"{host}:{question.port}", *([host] if question.port == HTTPS_PORT else []))
            async with asyncio.timeout(TIMEOUT_S):
                page = await self.connections.page(str(question), MAX_BYTES)
            answer = decode_lenient(page.body)
        except (OSError, ValueError, TimeoutError, MatrixError) as error:
            log.info("whether a key of an invitation is valid could not be found out: %s", type(error).__name__)
            return False
        return page.status == 200 and isinstance(answer, dict) and answer.get("valid") is True


def _with_key(url: str, public_key: str) -> URL:
    """Raises ValueError for what is no https URL."""
    parsed = URL(url)
    if len(url) > MAX_URL_CHARACTERS or parsed.scheme != "https" or not parsed.host:
        raise ValueError("not an https URL")
    return parsed.update_query(public_key=public_key)


def _reply(page: Page) -> IdentityReply:
    """An error may have any body: proxies answer with pages of their own. Raises BadGateway."""
    try:
        body = decode_lenient(page.body)
    except MatrixError:
        body = None
    if not isinstance(body, dict):
        if page.status < 400:
            raise BadGateway("The identity server's answer is not a JSON object")
        body = {}
    return IdentityReply(page.status, body)
