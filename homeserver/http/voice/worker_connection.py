"""Requests to the signalling of a worker, which listens on a Unix socket or the loopback address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import (
    BaseConnector,
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    DummyCookieJar,
    TCPConnector,
    UnixConnector,
    WSServerHandshakeError,
)
from yarl import URL

from homeserver.http.sockets import CLOSE_TIMEOUT_S
from voice.sfu.embedded.control import Address

ANSWER_S: Final = 5.0
MAX_MESSAGE_BYTES: Final = 8 << 20
"""Of a worker; the first message to somebody who joins a full room is the longest."""


class WorkerGone(Exception):  # noqa: N818 - it is a state, and reads like one
    """It does not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the worker said instead of opening a WebSocket, or to an ordinary request."""

    status: int
    text: str


@dataclass(slots=True)
class WorkerSocket:
    """An open WebSocket to a worker, with the session that belongs to it."""

    socket: ClientWebSocketResponse
    session: ClientSession

    async def close(self) -> None:
        await self.socket.close()
        await self.session.close()


async def open_worker_socket(address: Address, target: str, headers: Mapping[str, str]) -> WorkerSocket | Answer:
    """`target` is path and query as the client sent them. Raises WorkerGone."""
    session = _session(address)
    try:
        socket = await session.ws_connect(
            _url(address, target),
            headers=headers,
            autoclose=False,
            autoping=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        )
    except WSServerHandshakeError as error:
        await session.close()
        return Answer(error.status, "the worker does not let you in; /validate says why")
    except BaseException as error:
        await session.close()
        if isinstance(error, (ClientError, OSError, TimeoutError)):
            raise WorkerGone from error
        raise
    return WorkerSocket(socket, session)


async def ask_worker(address: Address, target: str, headers: Mapping[str, str]) -> Answer:
    """An ordinary GET. Raises WorkerGone."""
    try:
        async with _session(address) as session, session.get(_url(address, target), headers=headers) as response:
            return Answer(response.status, await response.text())
    except (ClientError, OSError, TimeoutError) as error:
        raise WorkerGone from error


def _session(address: Address) -> ClientSession:
    """One for each request: workers come and go, and on this machine a connection costs next to nothing."""
    connector: BaseConnector = UnixConnector(address.path) if address.path else TCPConnector()
    timeout = ClientTimeout(total=None, connect=ANSWER_S, sock_read=ANSWER_S)
    return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), timeout=timeout)


def _url(address: Address, target: str) -> URL:
    host = "worker" if address.path else f"127.0.0.1:{address.port}"
    return URL(f"http://{host}{target}", encoded=True)
