"""Requests to application services. Application service API, "Homeserver -> Application Service API".

The administrator has written their addresses down: any address will do, also one of this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from homeserver.protocol import errors
from homeserver.protocol.canonical_json import decode_json
from homeserver.services.appservices.appservice import Appservice

MAX_CONNECTIONS: Final = 100
MAX_CONNECTIONS_OF_ONE: Final = 20
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_QUOTED_CHARACTERS: Final = 1000
PREFIX: Final = "/_matrix/app/v1"
UNSTABLE_PREFIX: Final = "/_matrix/app/unstable"
# "if the application service receives an HTTP status code that does not indicate success (i.e.: 404, 500, 501, etc)".
NOT_SERVED: Final = frozenset({404, 405, 500, 501})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an application service answered."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The decoded body; None where it is no JSON, or nested too deep to be passed on."""
        try:
            return decode_json(self.body)
        except errors.MatrixError:
            return None


@dataclass(slots=True)
class AppserviceClient:
    """Two pools of connections for all: people who make us ask hold nobody up who is told something. `verify_tls`: as
    outgoing_http has it.
    """

    verify_tls: bool = True
    _telling: aiohttp.ClientSession | None = None
    _asking: aiohttp.ClientSession | None = None
    _modern: set[str] = field(default_factory=set)
    """Ids of those that have answered at a path with a version: the older ones are not tried there."""

    async def call(
        self,
        appservice: Appservice,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, list[str]] | None = None,
        legacy: str | None = None,
        question: bool = False,
        timeout_seconds: float,
    ) -> Reply:
        """Any answer to a request for `path` under the prefix. `legacy`: where older ones serve the same; `question`:
        somebody wants to know.

        Raises UrlNotSet, ConnectionFailed, ConnectionTimeout.
        """
        if appservice.url is None:
            raise errors.UrlNotSet
        parameters = f"?{urlencode(query, doseq=True)}" if query else ""
        session = self._open(question=question)
        reply = await _send(session, appservice, method, PREFIX + path + parameters, body, timeout_seconds)
        if reply.is_success:
            self._modern.add(appservice.id)
        elif legacy is not None and reply.status in NOT_SERVED and appservice.id not in self._modern:
            older = await _send(session, appservice, method, legacy + parameters, body, timeout_seconds)
            return older if older.is_success else reply
        return reply

    def _open(self, *, question: bool) -> aiohttp.ClientSession:
        if question:
            self._asking = self._asking or _session(self.verify_tls)
            return self._asking
        self._telling = self._telling or _session(self.verify_tls)
        return self._telling

    async def close(self) -> None:
        """No requests afterwards."""
        for session in (self._telling, self._asking):
            if session is not None:
                await session.close()


def _session(verify_tls: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, limit_per_host=MAX_CONNECTIONS_OF_ONE, ssl=verify_tls)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)


async def _send(
    session: aiohttp.ClientSession,
    appservice: Appservice,
    method: str,
    target: str,
    body: bytes | None,
    timeout_seconds: float,
) -> Reply:
    url = URL(f"{appservice.url}{target}", encoded=True)
    headers = {"Authorization": f"Bearer {appservice.hs_token}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        async with session.request(
            method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        ) as answer:
            return Reply(answer.status, await _read(answer))
    except TimeoutError:
        raise errors.ConnectionTimeout(f"The application service {appservice.id} takes too long") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        log.info("the application service %s: %s %s", appservice.id, type(error).__name__, error)
        raise errors.ConnectionFailed(f"The application service {appservice.id} cannot be reached") from None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises ValueError where it is too large."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too large")
    return bytes(body)


def segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


def bad_status(appservice: Appservice, reply: Reply) -> errors.BadStatus:
    """What is said about an answer that is no success."""
    text = reply.body[: MAX_QUOTED_CHARACTERS * 4].decode("utf-8", "replace")[:MAX_QUOTED_CHARACTERS]
    message = f"The application service {appservice.id} answered {reply.status}"
    return errors.BadStatus(message, status=reply.status, body=text)
