"""Workers are killed again and again in the middle of a call; Alice and Bob use LiveKit's SDK, and nobody helps them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from livekit import rtc

from config.settings import Settings, VoiceSettings
from tests.cast import Client, Server
from tests.homeserver import server_settings
from tests.voice.callers import sfu_get
from tests.voice.calls.telephone import Caller, heard, humming, until
from voice.sfu.embedded.supervisor import Supervisor

BACK_S = 3.0
DEATHS = 3
LOADS_S = 2.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, voice=VoiceSettings(workers=1, port=0, bind="127.0.0.1"))


async def connect(server: Server, client: Client, room_id: str) -> Caller:
    answer = await sfu_get(client, room_id)
    url = answer["url"].replace("ws://localhost:8008", server.base_url.replace("http", "ws"))
    caller = Caller(rtc.Room())
    caller.listen()
    await caller.room.connect(url, answer["jwt"])
    return caller


async def sound_of(listener: Caller, name: str) -> rtc.Track:
    await until(lambda: name in listener.tracks, "her track")
    hertz, _ = await heard(listener.tracks[name], 0.2)
    assert hertz == pytest.approx(997, abs=30)
    return listener.tracks.pop(name)


async def some_seconds_into_the_call(crew: Supervisor) -> None:
    """A spare process waits then, and has loaded its program."""
    crew.spare.quiet_s = 0
    await crew.in_use(people=True)
    await until(lambda: crew.spare.is_there, "a spare worker")
    await asyncio.sleep(LOADS_S)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_sound_is_back_within_three_seconds_of_every_death_of_a_worker(
    server: Server, how: signal.Signals
) -> None:
    crew = server.application.voice.crew
    assert isinstance(crew, Supervisor)
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    from_alice, from_bob = await connect(server, alice, room_id), await connect(server, bob, room_id)
    name = f"{alice.user_id}:{alice.device_id} audio"
    try:
        async with humming(from_alice):
            await sound_of(from_bob, name)
            for _ in range(DEATHS):
                await some_seconds_into_the_call(crew)
                (worker,) = crew.running()
                killed_at = time.monotonic()
                os.kill(worker.process.pid, how)
                await sound_of(from_bob, name)
                assert time.monotonic() - killed_at < BACK_S
                assert crew.running() != [worker]
        assert crew.deaths() == DEATHS
    finally:
        await from_alice.room.disconnect()
        await from_bob.room.disconnect()
