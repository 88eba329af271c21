"""WebSockets of clients, with a worker whose media is only recorded."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer
from livekit.protocol import rtc

from tests.voice.rooms.stage import KEY, LIMITS, ROOM, SECRET, RecordedPort, Time
from voice.sfu.backend import Grant, RoomOptions
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.application import build_signalling
from voice.tokens import mint


@dataclass(slots=True)
class House:
    server: RoomServer
    client: TestClient

    def query(self, identity: str, *, room: str = ROOM, reconnect: bool = False) -> dict[str, str]:
        request = rtc.JoinRequest(reconnect=reconnect)
        request.client_info.protocol = 16
        wrapped = rtc.WrappedJoinRequest(join_request=request.SerializeToString()).SerializeToString()
        token = mint(KEY, SECRET, Grant(room, identity), time.time())
        return {"access_token": token, "join_request": base64.urlsafe_b64encode(wrapped).decode()}

    async def joins(self, identity: str, path: str = "/rtc/v1") -> aiohttp.ClientWebSocketResponse:
        socket = await self.client.ws_connect(path, params=self.query(identity))
        assert (await hears(socket)).WhichOneof("message") == "join"
        return socket


@contextlib.asynccontextmanager
async def house(limits: RoomLimits = LIMITS, *, v1: bool = True) -> AsyncIterator[House]:
    server = RoomServer(RecordedPort(Time(int(time.time() * 1000))), {KEY: SECRET}, limits)  # type: ignore[arg-type]
    server.ensure_room(ROOM, RoomOptions(max_participants=2))
    async with TestClient(TestServer(build_signalling(server, v1=v1))) as client:
        yield House(server, client)
        await server.stop()


async def hears(socket: aiohttp.ClientWebSocketResponse) -> rtc.SignalResponse:
    message = await socket.receive(timeout=5)
    assert message.type is WSMsgType.BINARY, message
    return rtc.SignalResponse.FromString(message.data)


async def hears_until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> rtc.SignalResponse:
    while (response := await hears(socket)).WhichOneof("message") != kind:
        pass
    return response


def packed(**request: object) -> bytes:
    return rtc.SignalRequest(**request).SerializeToString()  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1"])
async def test_both_protocols_are_spoken(path: str) -> None:
    async with house() as there:
        socket = await there.joins("alice", path)

        await socket.send_bytes(packed(ping=1))

        assert (await hears_until(socket, "pong")).pong > 0
        await socket.send_bytes(packed(leave=rtc.LeaveRequest()))
        while (await socket.receive(timeout=5)).type is not WSMsgType.CLOSE:
            pass
        assert not there.server.door.sessions


async def test_refusals_have_the_status_and_text_clients_know() -> None:
    async with house() as there:
        good, unknown = there.query("alice"), there.query("alice", room="cellar")
        cases = [
            ({}, 401, "invalid authorization token"),
            ({"access_token": good["access_token"] + "x"}, 401, "invalid authorization token"),
            ({"access_token": good["access_token"]}, 400, "join_request is required"),
            ({**good, "join_request": "!!"}, 400, "cannot read"),
            (unknown, 404, "requested room does not exist"),
        ]
        for query, status, text in cases:
            response = await there.client.get("/rtc/v1", params=query)
            assert (response.status, text in await response.text()) == (status, True), query
            with pytest.raises(WSServerHandshakeError) as refused:
                await there.client.ws_connect("/rtc/v1", params=query)
            assert refused.value.status == status


async def test_pages_may_ask_why_they_were_refused() -> None:
    async with house() as there:
        there.server.ensure_room(ROOM, RoomOptions(max_participants=1))
        await there.joins("alice")
        token = there.query("bob")["access_token"]

        for path in ("/rtc/validate", "/rtc/v1/validate"):
            full = await there.client.get(path, headers={"Authorization": f"Bearer {token}", "Origin": "https://page"})
            assert (full.status, await full.text()) == (503, "room has exceeded its max participants")
            assert full.headers["Access-Control-Allow-Origin"] == "*"
            good = await there.client.get(path, params=there.query("alice"))
            assert (good.status, await good.text()) == (200, "success")
            assert (await there.client.options(path)).headers["Access-Control-Allow-Headers"] == "*"


async def test_an_older_server_can_be_played() -> None:
    async with house(v1=False) as there:
        assert (await there.client.get("/rtc/v1", params=there.query("alice"))).status == 404
        await there.joins("alice", "/rtc")


async def test_who_talks_nonsense_or_too_much_is_out() -> None:
    async with house(replace(LIMITS, requests_per_second=10, request_burst=10)) as there:
        for nonsense in (b"\xff\xff\xff", bytes(2_000_000)):
            socket = await there.joins("mallory")
            await socket.send_bytes(nonsense)
            await ended(socket)
        socket = await there.joins("mallory")
        await socket.send_str("hello")
        await ended(socket)
        socket = await there.joins("mallory")
        for _ in range(20):
            await socket.send_bytes(packed(ping=1))
        await ended(socket)

        assert not [
            session for session in there.server.door.sessions.values() if not session.participant.signal_lost_at
        ]


async def ended(socket: aiohttp.ClientWebSocketResponse) -> None:
    while (await socket.receive(timeout=5)).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
        pass


async def test_who_does_not_read_is_cut_off_and_costs_no_memory() -> None:
    async with house(replace(LIMITS, queued_messages=50)) as there:
        await there.joins("alice")
        (session,) = there.server.door.sessions.values()
        signal = session.participant.signal

        for _ in range(200):
            session.send(refresh_token="x" * 100_000)

        assert len(signal._waiting) <= 50  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            while session.participant.signal is signal:
                await asyncio.sleep(0.01)
        assert session.participant.signal_lost_at is not None, "his media may go on, and he may come back"


async def test_a_resume_of_nothing_is_answered_with_join_anew() -> None:
    async with house() as there:
        socket = await there.client.ws_connect("/rtc/v1", params=there.query("alice", reconnect=True))

        assert (await hears(socket)).leave.action == rtc.LeaveRequest.RECONNECT


async def test_random_requests_harm_nobody() -> None:
    """Every kind of request, with random bytes in it."""
    randomness = random.Random(5)
    async with house(replace(LIMITS, requests_per_second=10_000, request_burst=10_000)) as there:
        await there.joins("alice")
        fields = [field.number for field in rtc.SignalRequest.DESCRIPTOR.fields]
        for _ in range(400):
            body = randomness.randbytes(randomness.randrange(12))
            request = rtc.SignalRequest()
            tag = randomness.choice(fields) << 3 | 2
            raw = bytes([tag & 0x7F | 0x80, tag >> 7, len(body)]) + body
            with contextlib.suppress(Exception):
                request.ParseFromString(raw)
            session = next(iter(there.server.door.sessions.values()), None)
            if session is None:
                await there.joins("alice")
                session = next(iter(there.server.door.sessions.values()))
            session.handle(request)
        assert there.server.registry.size() <= 1
