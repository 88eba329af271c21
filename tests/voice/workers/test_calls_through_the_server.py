"""Alice and Bob call each other with LiveKit's SDK through the homeserver: token service, proxy, worker process."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest
from livekit import rtc

from config.settings import Settings, VoiceSettings
from tests.cast import Client, Server
from tests.homeserver import server_settings
from tests.voice.callers import sfu_get
from tests.voice.calls.telephone import Caller, heard, humming, until
from tests.voice.workers.exchange_of_processes import worker_processes
from voice.sfu.embedded.supervisor import Supervisor

SOON_S = 3 * 3
"""Three seconds are promised on a machine that is not busy; those that run tests are."""


@pytest.fixture
def workers() -> int:
    return 1


@pytest.fixture
def settings(workers: int, tmp_path: Path) -> Settings:
    return server_settings(tmp_path, voice=VoiceSettings(workers=workers, port=0, bind="127.0.0.1"))


async def connect(server: Server, client: Client, room_id: str) -> Caller:
    """As Element Call does; the public URL of the test's server is not where it listens."""
    answer = await sfu_get(client, room_id)
    url = answer["url"].replace("ws://localhost:8008", server.base_url.replace("http", "ws"))
    caller = Caller(rtc.Room())
    caller.listen()
    await caller.room.connect(url, answer["jwt"])
    return caller


@pytest.mark.parametrize("workers", [0, 1], ids=["in-process", "one-worker"])
async def test_bob_hears_alice_and_is_gone_when_he_is_kicked(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    from_alice = await connect(server, alice, room_id)
    from_bob = await connect(server, bob, room_id)
    try:
        async with humming(from_alice):
            name = f"{alice.user_id}:{alice.device_id} audio"
            await until(lambda: name in from_bob.tracks, "Alice's track")
            hertz, share = await heard(from_bob.tracks[name])
        assert hertz == pytest.approx(997, abs=20)
        assert share > 0.5
        await alice.post(("rooms", room_id, "kick"), {"user_id": bob.user_id})
        await until(lambda: "disconnected" in from_bob.seen, "Bob's end")
        await until(lambda: "participant_disconnected" in from_alice.seen, "Bob's leaving")
    finally:
        await from_alice.room.disconnect()
        await from_bob.room.disconnect()
    assert "/livekit/sfu/0/rtc/v1 101" in caplog.text
    ours = [each.getMessage() for each in caplog.records if not each.name.startswith("livekit")]
    assert not [line for line in ours if "access_token=" in line or "eyJ" in line], "tokens in the log"


async def with_a_spare(server: Server) -> None:
    """As it is when a call is some seconds old."""
    crew = server.application.voice.crew
    assert isinstance(crew, Supervisor)
    crew.spare.quiet_s = 0
    await crew.in_use(people=True)
    await until(lambda: crew.spare.is_there, "a spare worker")
    await asyncio.sleep(1)  # it loads its program


async def test_alice_is_heard_again_after_her_worker_was_killed(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    from_alice, from_bob = await connect(server, alice, room_id), await connect(server, bob, room_id)
    name = f"{alice.user_id}:{alice.device_id} audio"
    try:
        async with humming(from_alice):
            await until(lambda: name in from_bob.tracks, "Alice's track")
            before = from_bob.tracks.pop(name)
            (worker,) = worker_processes()
            await with_a_spare(server)
            worker.kill()
            killed = time.monotonic()
            await until(lambda: name in from_bob.tracks, "her track, again")
            after = from_bob.tracks[name]
            hertz, _ = await heard(after, 0.3)
            took_s = time.monotonic() - killed
        assert after is not before
        assert hertz == pytest.approx(997, abs=20)
        assert took_s < SOON_S
    finally:
        await from_alice.room.disconnect()
        await from_bob.room.disconnect()
