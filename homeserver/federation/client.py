"""Requests to other servers: signed, limited, and not made to servers that have just failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp

from homeserver.federation.connections import Outgoing
from homeserver.federation.errors import BadAnswer, NotAPartner, RemoteRefused
from homeserver.federation.partners import EVERYBODY, Partners
from homeserver.federation.well_known import Page
from homeserver.protocol.canonical_json import decode_lenient, encode_canonical
from homeserver.protocol.errors import ConnectionFailed, ConnectionTimeout, MatrixError, error_from_response
from homeserver.protocol.x_matrix import sign_request

if TYPE_CHECKING:
    from homeserver.federation.connections import Connections, Streamed
    from homeserver.federation.pauses import Pauses
    from homeserver.federation.resolver import Resolver, Route
    from homeserver.protocol.signing import SigningKey

DEFAULT_TIMEOUT_MS: Final = 10_000
DEFAULT_MAX_BYTES: Final = 1024 * 1024
NOT_AN_ANSWER: Final = "The other server's answer is not a JSON object"

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a request may take, everything included, and how many bytes its answer may have."""

    timeout_ms: int = DEFAULT_TIMEOUT_MS
    max_bytes: int = DEFAULT_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be made.

    `signed` False: to endpoints that ask for no signature. `probe` True: also to a server that has just failed, and a
    failure is not held against it (questions that strangers can make us ask). `insist`: also to a server that has just
    failed, because a person waits for this one; a failure counts. `paired`: the answer may also come as
    `[200, {...}]`, a mistake of early servers that the first versions of some endpoints have kept. `accept`: which
    content types the answer may have.
    """

    method: str
    uri: str
    content: Mapping[str, Any] | None = None
    signed: bool = True
    probe: bool = False
    insist: bool = False
    paired: bool = False
    limits: Limits = Limits()
    accept: str = "application/json"


def request_uri(path: str, *parameters: str, query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None) -> str:
    """Path and query as they are signed and sent. Each of `parameters` is one more segment, encoded.

    A `query` whose names repeat is a list of pairs.
    """
    encoded = "".join("/" + quote(each, safe="") for each in parameters)
    return f"{path}{encoded}?{urlencode(query)}" if query else path + encoded


@dataclass(frozen=True, slots=True)
class FederationClient:
    """`call` is the only way out. A request is made once: who has to deliver something asks `Pauses` when to try again."""

    server_name: str
    signing_key: SigningKey
    resolver: Resolver
    connections: Connections
    pauses: Pauses
    partners: Partners = EVERYBODY

    async def get(self, destination: str, uri: str, *, limits: Limits = Limits()) -> dict[str, Any]:
        """A signed GET. Raises as `call`."""
        return await self.call(destination, Call("GET", uri, limits=limits))

    async def put(
        self, destination: str, uri: str, content: Mapping[str, Any], *, limits: Limits = Limits()
    ) -> dict[str, Any]:
        """A signed PUT. Raises as `call`."""
        return await self.call(destination, Call("PUT", uri, content, limits=limits))

    async def post(
        self, destination: str, uri: str, content: Mapping[str, Any], *, limits: Limits = Limits()
    ) -> dict[str, Any]:
        """A signed POST. Raises as `call`."""
        return await self.call(destination, Call("POST", uri, content, limits=limits))

    async def call(self, destination: str, call: Call) -> dict[str, Any]:
        """The JSON object of a 2xx answer.

        Raises InvalidParam for what is no server name, NotAPartner or DestinationPaused without asking, ConnectionFailed,
        ConnectionTimeout, BadAnswer, and RemoteRefused for any other status.
        """
        page, answer = await self._answered(destination, call, _answer)
        if not 200 <= page.status < 300:
            raise RemoteRefused(error_from_response(page.status, answer))
        return answer

    async def body(self, destination: str, call: Call) -> bytes:
        """The body of a 2xx answer as it came: for answers so large that parsing them here would hold everybody up.

        Raises as `call`, but for what is only seen by parsing.
        """
        page, answer = await self._answered(destination, call, _refusal)
        if not 200 <= page.status < 300:
            raise RemoteRefused(error_from_response(page.status, answer))
        return page.body

    async def open(self, destination: str, call: Call) -> Streamed:
        """The answer as it comes, whatever its status; `limits` are only the time until it begins. The caller closes it.

        Only who cannot be reached at all is left alone for a while: a slow file says nothing of its server.
        Raises InvalidParam, NotAPartner, DestinationPaused, ConnectionFailed, ConnectionTimeout.
        """
        self._check(destination, call)
        try:
            answer = await self._reach(destination, call, self.connections.open)
        except ConnectionFailed:
            self._failed(destination, call)
            raise
        self.pauses.reached(destination)
        return answer

    async def _answered(
        self, destination: str, call: Call, parse: Callable[[Page, Call], dict[str, Any]]
    ) -> tuple[Page, dict[str, Any]]:
        self._check(destination, call)
        try:
            page = await self._send(destination, call)
            answer = parse(page, call)
        except (ConnectionFailed, ConnectionTimeout, BadAnswer):
            self._failed(destination, call)
            raise
        if page.status >= 500:
            self._failed(destination, call)
        else:
            self.pauses.reached(destination)
        return page, answer

    def _check(self, destination: str, call: Call) -> None:
        try:
            self.partners.check(destination)
        except NotAPartner:
            # Whoever has something for it waits longer each time, as for one that cannot be reached.
            self._failed(destination, call)
            raise
        if not call.probe and not call.insist:
            self.pauses.check(destination)

    def _failed(self, destination: str, call: Call) -> None:
        if not call.probe:
            self.pauses.failed(destination)

    async def _send(self, destination: str, call: Call) -> Page:
        return await self._reach(
            destination, call, lambda route, request: self.connections.send(route, request, call.limits.max_bytes)
        )

    async def _reach(
        self, destination: str, call: Call, send: Callable[[Route, Outgoing], Awaitable[Answer]]
    ) -> Answer:
        request = self._outgoing(destination, call)
        try:
            async with asyncio.timeout(call.limits.timeout_ms / 1000):
                return await send(await self.resolver.resolve(destination), request)
        except TimeoutError as error:
            raise ConnectionTimeout() from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Which address, and why not, is for our own log: it may say something about the network inside. Other texts
            # than that of a failed connection may hold the URL, and that a token.
            why = error if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__
            log.info("%s could not be reached: %s", destination, why)
            raise ConnectionFailed() from error

    def _outgoing(self, destination: str, call: Call) -> Outgoing:
        headers = {"Accept": call.accept}
        body = None
        if call.content is not None:
            headers["Content-Type"] = "application/json"
            body = encode_canonical(call.content, strict=False)
        if call.signed:
            headers["Authorization"] = sign_request(
                self.signing_key, call.method, call.uri, self.server_name, destination, call.content
            )
        return Outgoing(call.method, call.uri, headers, body)


def _answer(page: Page, call: Call) -> dict[str, Any]:
    """The body; of an error also nothing at all, for proxies answer with pages of their own. Raises BadAnswer."""
    try:
        answer = decode_lenient(page.body)
    except MatrixError as error:
        if page.status >= 400:
            return {}
        raise BadAnswer(NOT_AN_ANSWER) from error
    if call.paired and isinstance(answer, list) and len(answer) == 2:
        answer = answer[1]
    if not isinstance(answer, dict):
        if page.status >= 400:
            return {}
        raise BadAnswer(NOT_AN_ANSWER)
    return answer


def _refusal(page: Page, call: Call) -> dict[str, Any]:
    """What an error says; nothing of what went well. Raises BadAnswer."""
    if page.status < 400:
        return {}
    return _answer(page, call) if len(page.body) <= DEFAULT_MAX_BYTES else {}
