"""coturn takes the credentials we make, and calls go through it: those of `doctor voice`, and those of LiveKit's SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from livekit import rtc

from homeserver.commands.signing_key import read_signing_key
from tests.commands.processes import Process, free_port, running, voicechat
from tests.interop.calls.coturn import PROGRAM, coturn
from tests.voice.calls.telephone import Caller, heard, humming, until
from voice.participant.paths import RelayRefuses, Turn, allocate
from voice.probe.invitation import Operator, ask

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no turnserver on this machine (Debian: apt install coturn)")

SECRET = "north wind"
LOOPBACK = "--allow-loopback-peers"


@contextmanager
def server(folder: Path, turn_port: int, secret: str = SECRET) -> Iterator[tuple[Process, Path]]:
    """Ours, which tells everybody of that relay."""
    port = free_port()
    uris = [f"turn:127.0.0.1:{turn_port}?transport=udp", f"turn:127.0.0.1:{turn_port}?transport=tcp"]
    config = {
        "server_name": "test",
        "data_dir": "data",
        "listeners": [{"port": port}],
        "passwords": {"hash_cost": "minimum"},
        "registration": {"enabled": True, "require_verification": False},
        "voice": {
            "workers": 0,
            "port": free_port(),
            "bind": "127.0.0.1",
            "turn": {"uris": uris, "shared_secret": secret, "lifetime": "1h"},
        },
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    with running(file, port) as process:
        yield process, file


def register(process: Process, name: str) -> Any:
    body = {"username": name, "password": "north wind", "auth": {"type": "m.login.dummy"}}
    return process.ask("POST", "/_matrix/client/v3/register", body)


def doctor(config: Path) -> tuple[int, list[str]]:
    result = voicechat("doctor", "voice", "--config", config, "--seconds", "0.5")
    return result.returncode, [line for line in result.stdout.splitlines() if "TURN" in line]


async def test_alice_gets_an_allocation_and_mallory_none(tmp_path: Path) -> None:
    async with coturn(tmp_path / "turn", SECRET) as port:
        with server(tmp_path, port) as (process, _):
            token = register(process, "alice")["access_token"]
            given = process.ask("GET", "/_matrix/client/v3/voip/turnServer", token=token)
        relay = Turn("127.0.0.1", port, given["username"], given["password"])
        transport = await allocate(relay, asyncio.DatagramProtocol())
        assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
        transport.close()
        for username, password in ((given["username"], "guess"), ("9999999999:mallory", given["password"])):
            stranger = Turn("127.0.0.1", port, username, password)
            with pytest.raises(RelayRefuses) as refused:
                await allocate(stranger, asyncio.DatagramProtocol())
            assert refused.value.code == 401


async def test_doctor_calls_through_the_relay(tmp_path: Path) -> None:
    async with coturn(tmp_path / "turn", SECRET, LOOPBACK) as port:
        with server(tmp_path, port) as (_, config):
            status, lines = await asyncio.to_thread(doctor, config)
    assert status == 0
    for transport in ("udp", "tcp"):
        start = f"ok    TURN turn:127.0.0.1:{port}?transport={transport} works: 25 of 25 packets arrived"
        assert any(line.startswith(start) for line in lines), lines


@pytest.mark.parametrize(
    ("secret", "options", "meaning"),
    [
        ("another", (LOOPBACK,), "it refuses our credentials (401)"),
        (SECRET, (), "may not send to the SFU at 127.0.0.1:"),
    ],
    ids=["another-secret", "forbidden-peer"],
)
async def test_doctor_says_why_the_relay_does_not_work(
    tmp_path: Path, secret: str, options: tuple[str, ...], meaning: str
) -> None:
    async with coturn(tmp_path / "turn", secret, *options) as port:
        with server(tmp_path, port) as (_, config):
            status, lines = await asyncio.to_thread(doctor, config)
    assert status == 1
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("WRONG TURN turn:")
        assert meaning in line


async def test_doctor_misses_a_relay_that_is_not_there(tmp_path: Path) -> None:
    with server(tmp_path, free_port()) as (_, config):
        status, lines = await asyncio.to_thread(doctor, config)
    assert status == 1
    assert all(line.startswith("WRONG TURN") for line in lines)
    assert "it cannot be reached" in lines[1]


@asynccontextmanager
async def relayed(url: str, token: str) -> AsyncIterator[Caller]:
    """Somebody whose network lets only TURN out. He is told of it by the SFU and nobody else."""
    person = Caller(rtc.Room())
    person.listen()
    only = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)
    await person.room.connect(url, token, rtc.RoomOptions(rtc_config=only))
    try:
        yield person
    finally:
        await person.room.disconnect()


async def test_clients_take_the_relay_by_themselves(tmp_path: Path) -> None:
    async with coturn(tmp_path / "turn", SECRET, LOOPBACK) as port:
        with server(tmp_path, port) as (process, _):
            operator = Operator("test", read_signing_key(tmp_path / "data" / "signing.key"))
            async with aiohttp.ClientSession() as http:
                given = await ask(http, f"http://127.0.0.1:{process.port}", operator.request())
            began = time.monotonic()
            async with (
                relayed(given.url, given.tokens[0]) as alice,
                relayed(given.url, given.tokens[1]) as bob,
                humming(alice),
            ):
                await until(lambda: "probe-talker audio" in bob.tracks, "Alice's track")
                hertz, share = await heard(bob.tracks["probe-talker audio"])
            assert hertz == pytest.approx(997, abs=20)
            assert share > 0.5
            assert time.monotonic() - began < 30
