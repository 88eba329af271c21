"""LiveKit's signalling for the clients of our own SFU: handed on to the worker that has the room.

Tokens travel in the query (`access_token`, not one of ours for Matrix) and the log has paths without queries. The worker
is in the path as the token service said it; clients that know nothing but the one address of MSC4195 are sent to the
worker of the room in their token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response, Socket
from homeserver.http.voice.relay import relay
from homeserver.http.voice.worker_connection import (
    Answer,
    WorkerGone,
    WorkerSocket,
    ask_worker,
    open_worker_socket,
)
from homeserver.protocol import errors
from voice.sfu.backend import SfuUnavailable
from voice.sfu.embedded.backend import Crew
from voice.sfu.embedded.control import Address

T = TypeVar("T")

ROOT: Final = "/livekit/sfu"
AT_WORKER: Final = f"{ROOT}/{{worker}}"
NO_SUCH_ROOM: Final = "requested room does not exist"
"""LiveKit's own words, which its clients know."""
STARTING: Final = "The voice worker of this call is starting; please try again"
ATTEMPTS: Final = 3
PAUSE_S: Final = 0.1
MAX_CLIENT_MESSAGE_BYTES: Final = 1 << 20
# Waiting for a worker that is being started again included.
TIME_LIMIT_MS: Final = 20_000


@dataclass(frozen=True, slots=True)
class SignallingEndpoints:
    """`/rtc/v1` is LiveKit's protocol with one peer connection, `/rtc` the older one with two."""

    crew: Crew
    worker_of: Callable[[str], int | None]
    """The worker that has the room of this token; None for tokens that are not ours, or whose room is gone."""

    @endpoint(
        "GET",
        *(f"{root}/{path}" for root in (AT_WORKER, ROOT) for path in ("rtc/v1", "rtc")),
        auth=Auth.NONE,
        limit="call_join",
        time_limit_ms=TIME_LIMIT_MS,
        websocket=True,
    )
    async def join(self, request: Request[None]) -> Response:
        """Signalling of one client, from its joining to its leaving."""
        opened = await self._at_worker(open_worker_socket, request)
        return _text(opened) if isinstance(opened, Answer) else _conversation(opened)

    @endpoint(
        "GET",
        *(f"{root}/{path}" for root in (AT_WORKER, ROOT) for path in ("rtc/v1/validate", "rtc/validate")),
        auth=Auth.NONE,
        limit="call_join",
    )
    async def validate(self, request: Request[None]) -> Response:
        """Why a WebSocket did not open, which browsers do not tell."""
        return _text(await self._at_worker(ask_worker, request))

    async def _at_worker(
        self, ask: Callable[[Address, str, Mapping[str, str]], Awaitable[T]], request: Request[None]
    ) -> T:
        """Once more where the worker died under our hands: clients wait for seconds before they try again themselves."""
        for _ in range(ATTEMPTS):
            address = await self._address(request)
            try:
                return await ask(address, _target(request), _headers(request))
            except WorkerGone:
                await asyncio.sleep(PAUSE_S)  # until its death is known, from when on `reach` waits for the next one
        raise errors.Unavailable(STARTING)

    async def _address(self, request: Request[None]) -> Address:
        number = self._number(request)
        try:
            return (await self.crew.reach(number)).signalling
        except SfuUnavailable:
            raise errors.Unavailable(STARTING) from None

    def _number(self, request: Request[None]) -> int:
        text = request.path.get("worker")
        if text is None:
            found = self.worker_of(_token(request))
            if found is None:
                raise errors.NotFound(NO_SUCH_ROOM)
            return found
        # Not int(): that takes signs, spaces, and digits of all scripts.
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else -1
        if number < 0 or not self.crew.has(number):
            raise errors.NotFound("There is no such voice worker")
        return number


def _token(request: Request[None]) -> str:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return request.query.string("access_token", "") or bearer


def _target(request: Request[None]) -> str:
    """What the worker is asked: the path behind its number, the query as it came."""
    before = 4 if "worker" in request.path else 3
    path = "/" + request.raw_path.split("/", before)[before]
    return f"{path}?{request.query.raw}" if request.query.raw else path


def _headers(request: Request[None]) -> Mapping[str, str]:
    """Native clients send their token in a header."""
    return {name: request.headers[name] for name in ("Authorization", "User-Agent") if name in request.headers}


def _text(answer: Answer) -> Raw:
    return Raw(answer.text.encode(), "text/plain; charset=utf-8", answer.status)


def _conversation(worker: WorkerSocket) -> Socket:
    async def talk(client: web.WebSocketResponse) -> None:
        try:
            await relay(client, worker.socket)
        finally:
            await worker.close()

    return Socket(talk, worker.close, MAX_CLIENT_MESSAGE_BYTES)
