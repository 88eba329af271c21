"""The operator tests a voice that works, and several that do not."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from aiohttp import web

from tests.voice.participant.embedded_server import EmbeddedServer, embedded_server
from tests.voice.probe.front import Front, front, invitation, says, wrongs
from voice.participant.paths import Address, UdpPath
from voice.probe import call, reach
from voice.probe.finding import Finding, Mark


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one machine what does not answer at once never will."""
    monkeypatch.setattr(call, "CONNECT_S", 1.0)
    monkeypatch.setattr(reach, "PATIENCE_S", 0.3)


async def probed(server: EmbeddedServer, **more: Any) -> list[Finding]:
    async with front() as opened:
        opened.invitation = invitation(server.url, time.time(), **more)
        return await opened.findings()


def port_of(server: EmbeddedServer) -> int:
    return server.rooms.port.candidates[0].port


def block_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that swallows what goes out."""

    def swallow(self: UdpPath, packet: bytes, to: Address) -> None:
        pass

    monkeypatch.setattr(UdpPath, "send", swallow)


async def test_a_healthy_call() -> None:
    async with embedded_server() as server:
        port = port_of(server)
        findings = await probed(server, ports=[port, port + 1, port + 2])
    assert wrongs(findings) == []
    for path in ("UDP", "TCP"):
        assert any(each.sentence.startswith(f"{path} works: 20 of 20 packets arrived") for each in findings)
    assert server.rooms.participants("the room") == []
    notes = [each.sentence for each in findings if each.mark is Mark.NOTE]
    assert any(f"port {port + 1} to {port + 2}, UDP and TCP; they were not tested" in each for each in notes)


async def test_udp_is_blocked_and_tcp_works(monkeypatch: pytest.MonkeyPatch) -> None:
    block_udp(monkeypatch)
    async with embedded_server() as server:
        findings = await probed(server)
        port = port_of(server)
    assert wrongs(findings) == [
        f"UDP port {port} cannot be reached from here at 127.0.0.1:{port}: open it in the firewall, and forward it to the "
        "server where there is a router in between."
    ]
    assert any(each.sentence.startswith("TCP works") for each in findings)


async def test_clients_are_told_of_an_address_where_nobody_is() -> None:
    async with embedded_server(advertise=["127.0.0.99"]) as server:
        udp, tcp = wrongs(await probed(server))
        port = port_of(server)
    for name, sentence in (("UDP", udp), ("TCP", tcp)):
        assert sentence.startswith(
            f"{name} port {port} cannot be reached from here at 127.0.0.99:{port}: the SFU runs on this"
        )
        assert f"it answers at 127.0.0.1:{port}" in sentence
        assert "voice.advertise" in sentence


async def test_every_tenth_packet_is_lost() -> None:
    count = itertools.count(1)
    async with embedded_server(loss=lambda: next(count) % 10 == 0) as server:
        udp, _ = wrongs(await probed(server))
    assert udp.startswith("UDP loses 1")
    assert "18 of 20 packets arrived" in udp


async def test_a_call_that_is_full_takes_nobody() -> None:
    async with embedded_server(seats=1) as server:
        (sentence,) = wrongs(await probed(server))
    assert "is down (503)" in sentence


async def through(opened: Front, path: str = "/sfu/0") -> list[Finding]:
    opened.invitation = invitation(opened.url.replace("http", "ws") + path, time.time())
    return await opened.findings()


async def no_upgrades(request: web.Request) -> web.StreamResponse:
    """A proxy that makes an ordinary request of a WebSocket."""
    if request.path.endswith("/validate"):
        return web.Response(text="success")
    return web.Response(status=426, text="Upgrade Required")


async def test_the_proxy_lets_no_websocket_through() -> None:
    async with front() as opened:
        opened.sfu = no_upgrades
        (sentence,) = wrongs(await through(opened))
    assert "answers a WebSocket with 426: there is a proxy that does not let it through" in sentence
    assert "Upgrade and Connection" in sentence


async def test_a_websocket_that_says_nothing() -> None:
    async def mute(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/validate"):
            return web.Response(text="success")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    async with front() as opened:
        opened.sfu = mute
        (sentence,) = wrongs(await through(opened))
    assert "nothing comes through the proxy" in sentence


@pytest.mark.parametrize(
    ("status", "text", "meaning"),
    [
        (401, "invalid API key", "refuses the server's token (invalid API key)"),
        (404, "", "There is no SFU at"),
        (502, "Bad Gateway", "is down (502)"),
        (301, "", "answers 301 instead of the SFU"),
    ],
)
async def test_the_door_of_the_sfu_is_closed(status: int, text: str, meaning: str) -> None:
    async with front() as opened:
        opened.sfu = says(status, text)
        (sentence,) = wrongs(await through(opened))
    assert meaning in sentence


async def test_nobody_is_at_the_address_of_the_sfu() -> None:
    async with front() as opened:
        opened.invitation = invitation("ws://127.0.0.1:1/livekit/sfu/0", time.time())
        (sentence,) = wrongs(await opened.findings())
    assert sentence.startswith("Nobody answers at http://127.0.0.1:1: ")
