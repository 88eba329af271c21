"""The homeserver goes away in the middle of a call, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from livekit import rtc

from tests.cast import Client, Server
from tests.faults.process import ServerProcess, free_port
from tests.voice.callers import sfu_get
from tests.voice.calls.telephone import Caller, heard, humming, until


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    port = free_port()
    listener = {"bind": "127.0.0.1", "port": port, "resources": ["client", "media", "admin", "voice"]}
    voice = {"workers": 1, "bind": "127.0.0.1", "port": free_port()}
    process = ServerProcess(tmp_path, port, settings={"listeners": [listener], "voice": voice})
    process.start()
    yield process
    process.stop()


async def connect(client: Client, room_id: str) -> Caller:
    answer = await sfu_get(client, room_id)
    caller = Caller(rtc.Room())
    caller.listen()
    await caller.room.connect(answer["url"], answer["jwt"])
    return caller


async def sound_from(from_alice: Caller, from_bob: Caller, name: str) -> None:
    async with humming(from_alice):
        await until(lambda: name in from_bob.tracks, "Alice's track")
        hertz, _ = await heard(from_bob.tracks.pop(name), 0.2)
        assert hertz == pytest.approx(997, abs=30)


@pytest.mark.parametrize("politely", [True, False], ids=["stopped", "killed"])
async def test_after_a_restart_of_the_homeserver_everybody_can_call_again(
    faulty: Server, process: ServerProcess, politely: bool
) -> None:
    """Its workers end with it, and the keys of their tokens: clients ask for new ones."""
    alice, bob = await faulty.register("alice"), await faulty.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    name = f"{alice.user_id}:{alice.device_id} audio"
    before = [await connect(client, room_id) for client in (alice, bob)]
    await sound_from(before[0], before[1], name)
    await asyncio.to_thread(process.stop if politely else process.kill)
    assert not [each for each in psutil.process_iter(["cmdline"]) if _is_worker_of(each, process)]
    await asyncio.to_thread(process.start)
    after = [await connect(client, room_id) for client in (alice, bob)]
    await sound_from(after[0], after[1], name)
    for caller in (*before, *after):
        await caller.room.disconnect()


def _is_worker_of(each: psutil.Process, process: ServerProcess) -> bool:
    """Its parent is on the command line."""
    command = each.info["cmdline"] or []
    assert process.process is not None
    return "voice.sfu.embedded.worker" in command and str(process.process.pid) in command
