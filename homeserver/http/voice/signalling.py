"""LiveKit's signalling for the clients of our own SFU: handed on to the worker that has the room.

Tokens travel in the query (`access_token`, not one of ours for Matrix) and in `join_request`: neither is looked at here,
and the log has paths without queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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

ROOT: Final = "/livekit/sfu/{worker}"
MAX_CLIENT_MESSAGE_BYTES: Final = 1 << 20
# Waiting for a worker that is being started again included.
TIME_LIMIT_MS: Final = 20_000


@dataclass(frozen=True, slots=True)
class SignallingEndpoints:
    """`/rtc/v1` is LiveKit's protocol with one peer connection, `/rtc` the older one with two."""

    crew: Crew

    @endpoint(
        "GET", f"{ROOT}/rtc/v1", f"{ROOT}/rtc", auth=Auth.NONE, limit="call_join", time_limit_ms=TIME_LIMIT_MS, websocket=True
    )  # fmt: skip
    async def join(self, request: Request[None]) -> Response:
        """Signalling of one client, from its joining to its leaving."""
        address = await self._address(request)
        try:
            opened = await open_worker_socket(address, _target(request), _headers(request))
        except WorkerGone:
            raise errors.Unavailable("The voice worker of this call is starting; please try again") from None
        return _text(opened) if isinstance(opened, Answer) else _conversation(opened)

    @endpoint("GET", f"{ROOT}/rtc/v1/validate", f"{ROOT}/rtc/validate", auth=Auth.NONE, limit="call_join")
    async def validate(self, request: Request[None]) -> Response:
        """Why a WebSocket did not open, which browsers do not tell."""
        address = await self._address(request)
        try:
            return _text(await ask_worker(address, _target(request), _headers(request)))
        except WorkerGone:
            raise errors.Unavailable("The voice worker of this call is starting; please try again") from None

    async def _address(self, request: Request[None]) -> Address:
        text = request.path["worker"]
        # Not int(): that takes signs, spaces, and digits of all scripts.
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else -1
        if number < 0 or not self.crew.has(number):
            raise errors.NotFound("There is no such voice worker")
        try:
            return (await self.crew.reach(number)).signalling
        except SfuUnavailable:
            raise errors.Unavailable("The voice worker of this call is starting; please try again") from None


def _target(request: Request[None]) -> str:
    """What the worker is asked: the path behind its number, the query as it came."""
    path = "/" + request.raw_path.split("/", 4)[4]
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
