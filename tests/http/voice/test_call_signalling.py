"""Signalling of calls on its way through the homeserver, to a worker that says what the test wants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web
from livekit.protocol import models, rtc
from yarl import URL

from homeserver.http.edge import Edge
from homeserver.http.endpoint import endpoints_of
from homeserver.http.router import Router
from homeserver.http.server import EdgeServer
from homeserver.http.voice import relay
from homeserver.http.voice.signalling import SignallingEndpoints
from homeserver.observability.logs import RequestLog
from homeserver.services.rate_limits import NoRateLimiter
from tests.voice.waiting import until
from voice.sfu.backend import SfuUnavailable
from voice.sfu.embedded.control import Address

TOKEN = "eyJ.very.secret"
Talk = Callable[[web.WebSocketResponse], Awaitable[object]]


@dataclass(slots=True)
class Worker:
    """A stand-in: notes who comes, and talks as it is told."""

    address: Address = field(default_factory=Address)
    talk: Talk | None = None
    refuse: int | None = None
    came: list[web.Request] = field(default_factory=list)
    heard: list[tuple[WSMsgType, Any, Any]] = field(default_factory=list)
    number: int = 0
    gone: bool = False

    async def join(self, request: web.Request) -> web.StreamResponse:
        self.came.append(request)
        if self.refuse is not None:
            return web.Response(status=self.refuse, text="no")
        socket = web.WebSocketResponse(autoping=False, autoclose=False)
        await socket.prepare(request)
        if self.talk is not None:
            await self.talk(socket)
        while True:
            message = await socket.receive()
            self.heard.append((message.type, message.data, message.extra))
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                return socket

    async def validate(self, request: web.Request) -> web.Response:
        self.came.append(request)
        return web.Response(status=self.refuse or 200, text="could not find the room" if self.refuse else "success")

    # --- as the crew of the endpoints ---

    @property
    def signalling(self) -> Address:
        return self.address

    def has(self, number: int) -> bool:
        return number == 0

    async def reach(self, number: int) -> Worker:
        if self.gone:
            raise SfuUnavailable("gone")
        return self


@dataclass(slots=True)
class Street:
    """Worker, homeserver, and a client of both."""

    worker: Worker
    edge: Edge
    runner: web.ServerRunner
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/livekit/sfu/0"

    def open(self, query: str = f"access_token={TOKEN}", path: str = "rtc/v1", **headers: str) -> Any:
        url = URL(f"{self.url}/{path}?{query}", encoded=True)
        return self.session.ws_connect(url, autoping=False, autoclose=False, headers=headers)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    worker = Worker()
    application = web.Application()
    application.router.add_get("/rtc/v1", worker.join)
    application.router.add_get("/rtc", worker.join)
    application.router.add_get("/rtc/v1/validate", worker.validate)
    below = web.AppRunner(application, access_log=None, max_line_size=65_536, shutdown_timeout=0.1)
    await below.setup()
    worker.address = Address(path=str(tmp_path / "0.sock"))
    await web.UnixSite(below, worker.address.path).start()

    endpoints = SignallingEndpoints(worker, {TOKEN: 0}.get)  # type: ignore[arg-type]  # of a crew what is needed
    router = Router(endpoints_of(endpoints))
    edge = Edge(router, None, NoRateLimiter(), observer=RequestLog())  # type: ignore[arg-type]  # nobody signs in here
    runner = web.ServerRunner(EdgeServer(edge), shutdown_timeout=3)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Street(worker, edge, runner, session)
    await runner.cleanup()
    await below.cleanup()


async def test_both_sides_hear_each_other(street: Street) -> None:
    async def greet(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"join response")
        await socket.ping(b"are you there")

    street.worker.talk = greet
    async with street.open() as socket:
        assert (await socket.receive())[:2] == (WSMsgType.BINARY, b"join response")
        assert (await socket.receive())[:2] == (WSMsgType.PING, b"are you there")
        await socket.pong(b"I am")
        await socket.send_bytes(b"offer")
        await socket.send_str("text")
        await socket.ping(b"and you")
        await socket.close(code=4001, message=b"bye")
        await until(lambda: len(street.worker.heard) == 5, "all of it")
    assert street.worker.heard == [
        (WSMsgType.PONG, b"I am", ""),
        (WSMsgType.BINARY, b"offer", ""),
        (WSMsgType.TEXT, "text", ""),
        (WSMsgType.PING, b"and you", ""),
        (WSMsgType.CLOSE, 4001, "bye"),
    ]


async def test_the_goodbye_of_the_worker_arrives_as_it_was_said(street: Street) -> None:
    street.worker.talk = lambda socket: socket.close(code=4002, message="geh später".encode())
    async with street.open() as socket:
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4002, "geh später")


async def test_a_worker_that_dies_means_come_again(street: Street) -> None:
    """Clients of LiveKit do not come back after 1000, and without LeaveRequest they try to resume first."""

    async def die(socket: web.WebSocketResponse) -> None:
        transport = street.worker.came[0].transport
        assert transport is not None
        transport.abort()

    street.worker.talk = die
    async with street.open() as socket:
        leave = rtc.SignalResponse.FromString((await socket.receive()).data).leave
        assert (leave.action, leave.reason) == (rtc.LeaveRequest.RECONNECT, models.SERVER_SHUTDOWN)
        assert leave.can_reconnect, "for clients that know no actions"
        assert (await socket.receive())[:2] == (WSMsgType.CLOSE, WSCloseCode.SERVICE_RESTART)


async def test_a_client_that_vanishes_is_missed_at_once(street: Street) -> None:
    async with street.open() as socket:
        assert street.edge.waiting
        socket._response.connection.transport.abort()
        await until(lambda: street.worker.heard, "the worker's hearing of it")
        await until(lambda: not street.edge.waiting, "the end of the relay")
    assert street.worker.heard[0][0] in (WSMsgType.CLOSE, WSMsgType.CLOSED)


async def test_query_and_token_header_pass_as_they_are(street: Street) -> None:
    """The query of a join is long and has signs that one could encode in another way."""
    query = f"access_token={TOKEN}&join_request={'aB-_' * 10_000}%3D&x=%2f+%20"
    async with street.open(query, Authorization="Bearer of.a.native.client"):
        pass
    (request,) = street.worker.came
    assert request.raw_path == f"/rtc/v1?{query}"
    assert request.headers["Authorization"] == "Bearer of.a.native.client"
    async with street.open(path="rtc"):
        pass
    assert street.worker.came[1].path == "/rtc"


async def test_clients_that_know_no_worker_are_sent_to_that_of_their_room(street: Street) -> None:
    """MSC4195 has one address for the whole SFU."""
    async with street.session.ws_connect(f"{street.url[:-2]}/rtc/v1?access_token={TOKEN}"):
        pass
    async with street.session.ws_connect(f"{street.url[:-2]}/rtc", headers={"Authorization": f"Bearer {TOKEN}"}):
        pass
    assert [request.path_qs for request in street.worker.came] == [f"/rtc/v1?access_token={TOKEN}", "/rtc"]
    for stranger in ("", "?access_token=of-nobody"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await street.session.ws_connect(f"{street.url[:-2]}/rtc/v1{stranger}")
        assert refused.value.status == 404


async def test_tokens_are_not_in_the_log(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with street.open(f"access_token={TOKEN}&join_request=c2VjcmV0"):
        pass
    async with street.session.get(f"{street.url}/rtc/v1/validate?access_token={TOKEN}") as response:
        assert response.status == 200
    street.worker.refuse = 401
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await street.open(f"access_token={TOKEN}")
    assert "GET /livekit/sfu/0/rtc/v1 101" in caplog.text
    assert TOKEN not in caplog.text
    assert "c2VjcmV0" not in caplog.text


async def test_the_line_in_the_log_comes_when_it_opens(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    """The length of a call is not the duration of a request."""
    caplog.set_level(logging.INFO)
    async with street.open():
        await until(lambda: "101" in caplog.text, "the line")


@pytest.mark.parametrize("status", [401, 404, 409, 503])
async def test_a_refusal_keeps_its_status(street: Street, status: int) -> None:
    street.worker.refuse = status
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await street.open()
    assert refused.value.status == status


async def test_validate_tells_browsers_of_other_origins(street: Street) -> None:
    street.worker.refuse = 404
    async with street.session.get(f"{street.url}/rtc/v1/validate?access_token={TOKEN}") as response:
        assert (response.status, await response.text()) == (404, "could not find the room")
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    async with street.session.options(f"{street.url}/rtc/v1/validate") as response:
        assert response.status == 204


async def test_a_dead_worker_is_unavailable(street: Street) -> None:
    for gone in (True, False):
        street.worker.gone = gone
        street.worker.address = Address(path=street.worker.address.path + ".gone")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await street.open()
        assert refused.value.status == 503
        async with street.session.get(f"{street.url}/rtc/v1/validate") as response:
            assert response.status == 503
            assert response.headers["Retry-After"]


@pytest.mark.parametrize("worker", ["1", "-0", "00000", "+0", "٠", "x", "0x0", "999999999999"])
async def test_there_is_no_such_worker(street: Street, worker: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await street.session.ws_connect(f"{street.url[:-1]}{worker}/rtc/v1")
    assert refused.value.status == 404
    assert not street.worker.came


async def test_an_ordinary_request_is_none_for_a_websocket(street: Street) -> None:
    for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Upgrade": "h2c"}):
        async with street.session.get(f"{street.url}/rtc/v1", headers=headers) as response:
            assert response.status == 404
            assert (await response.json())["errcode"] == "M_UNRECOGNIZED"
    assert not street.worker.came


async def test_a_message_that_is_too_long_ends_it(street: Street) -> None:
    async with street.open() as socket:
        await socket.send_bytes(b"x" * ((1 << 20) + 1))
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.MESSAGE_TOO_BIG)


async def test_who_does_not_read_stops_the_worker_and_then_the_call(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "SEND_PATIENCE_S", 0.2)
    sent = 0

    async def flood(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        while True:
            await socket.send_bytes(bytes(100_000))
            sent += 1

    street.worker.talk = flood
    _, writer = await asyncio.open_connection("127.0.0.1", street.runner.addresses[0][1], limit=1024)
    writer.write(
        b"GET /livekit/sfu/0/rtc/v1 HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await until(lambda: street.edge.waiting, "the opening")
    for _ in range(50):
        if not street.edge.waiting:
            break
        await asyncio.sleep(0.1)
    assert not street.edge.waiting, "it goes on for ever"
    assert sent < 500, "somewhere between them it was all kept"
    writer.close()


async def test_a_server_that_stops_says_so(street: Street) -> None:
    async with street.open() as socket:
        reading = asyncio.create_task(socket.receive())
        await until(lambda: street.edge.waiting, "the opening")
        street.edge.give_up_waiting()
        message = await reading
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        await socket.close()
        await until(lambda: not street.edge.waiting, "its end")
    await until(lambda: street.worker.heard, "the worker's hearing of it")
