"""Through a relay, where the machine has coturn."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.voice.participant.embedded_server import embedded_server
from voice.participant import Turn

pytestmark = pytest.mark.skipif(shutil.which("turnserver") is None, reason="needs coturn")


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        port: int = probing.getsockname()[1]
        return port


@asynccontextmanager
async def coturn(directory: Path) -> AsyncIterator[Turn]:
    port = free_port()
    options = (
        f"--listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --listening-port={port} --lt-cred-mech --user=bob:secret "
        f"--realm=example.org --no-tls --no-dtls --no-cli --allow-loopback-peers --log-file=stdout "
        f"--pidfile={directory / 'pid'} --userdb={directory / 'db'} -c /dev/null"
    )
    process = await asyncio.create_subprocess_exec(
        "turnserver",
        *options.split(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=directory,
    )
    try:
        await listening(port)
        yield Turn("127.0.0.1", port, "bob", "secret", "tcp")
    finally:
        process.kill()
        await process.wait()


async def listening(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise AssertionError("coturn does not listen")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_bob_hears_alice_through_a_relay(tmp_path: Path, transport: str) -> None:
    async with coturn(tmp_path) as relay, embedded_server() as server:
        relayed = Turn(relay.host, relay.port, relay.username, relay.password, transport)  # type: ignore[arg-type]
        alice, bob = server.participant("alice"), server.participant("bob", relayed)
        await asyncio.gather(alice.connect(), bob.connect())
        await alice.publish_audio()
        for _ in range(200):
            alice.send_packet(bytes(80))
            await asyncio.sleep(0.01)
            if bob.statistics().received >= 20:
                break
        assert bob.statistics().received >= 20
        assert bob.statistics().unreadable == 0
        await asyncio.gather(alice.close(), bob.close())
