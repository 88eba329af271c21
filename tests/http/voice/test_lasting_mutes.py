"""Who was muted by a moderator stays so, whatever he does, until a moderator lifts it."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver
from tests.voice.recording_backend import RecordingBackend
from tests.voice.seats import Caller, roster, sit
from tests.voice.waiting import tasks_done, until
from voice.sfu.backend import LeaveReason


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def channel(server: Server, *names: str) -> tuple[str, list[Client]]:
    people = [await server.register(name) for name in names]
    room_id = await people[0].create_room(preset="public_chat", room_version="11")
    for other in people[1:]:
        await other.join(room_id)
    return room_id, people


async def moderate(client: Client, room_id: str, whom: Client, verb: str, what: str | None = None, **more: Any) -> None:
    path = f"/_voicechat/client/v1/rooms/{room_id}/voice/{whom.user_id}/{verb}"
    await client.post(path, {} if what is None else {"what": what}, **more)


async def seen(client: Client, caller: Caller) -> Any:
    return roster(await client.sync(since=None), caller.room_id)[caller.client.user_id][0]


def told(sfu: RecordingBackend) -> list[tuple[str, bool]]:
    """What the SFU was asked to mute and to let go since the last time."""
    asked = [(source, muted) for _, _, source, muted in sfu.muted]
    sfu.muted.clear()
    return asked


async def test_mallory_is_muted_leaves_and_is_muted_when_she_comes_again(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    room_id, (alice, mallory) = await channel(server, "alice", "mallory")
    caller = await sit(mallory, room_id, sfu, microphone="on", screen=True)
    await moderate(alice, room_id, mallory, "mute")
    await moderate(alice, room_id, mallory, "mute", "screen")
    assert (await seen(alice, caller))["muted_by_moderator"] == ["microphone", "screen"]
    sfu.muted.clear()
    for reason in (LeaveReason.LEFT, LeaveReason.RECONNECTING):
        caller.leave(reason)
        clock.advance(seconds=1)
        await caller.join(microphone="on")
        await until(lambda: len(sfu.muted) == 3)
        assert told(sfu) == [("microphone", True), ("screen_share", True), ("screen_share_audio", True)]
        assert (await seen(alice, caller))["microphone"] == "muted"


async def test_a_mute_is_lifted_and_the_microphone_stays_closed(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob) = await channel(server, "alice", "bob")
    caller = await sit(bob, room_id, sfu, microphone="on")
    await moderate(alice, room_id, bob, "mute")
    await moderate(alice, room_id, bob, "unmute")
    assert told(sfu) == [("microphone", True), ("microphone", False)]
    assert "muted_by_moderator" not in await seen(alice, caller)
    caller.leave()
    await caller.join(microphone="on")
    await tasks_done()
    assert told(sfu) == []
    await moderate(alice, room_id, bob, "unmute")  # nothing to lift, and nothing wrong
    await moderate(alice, room_id, bob, "unmute", "thoughts", expect=(400, "M_INVALID_PARAM"))


async def test_a_mute_can_be_lifted_while_he_is_away(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob) = await channel(server, "alice", "bob")
    caller = await sit(bob, room_id, sfu, microphone="on")
    await moderate(alice, room_id, bob, "mute")
    caller.leave()
    await moderate(alice, room_id, bob, "unmute")
    sfu.muted.clear()
    await caller.join(microphone="on")
    await tasks_done()
    assert told(sfu) == []


async def test_nobody_lifts_his_own_mute_unless_he_is_a_moderator(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob, mallory) = await channel(server, "alice", "bob", "mallory")
    levels = await alice.state(room_id, "m.room.power_levels")
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 50}})
    await sit(mallory, room_id, sfu, microphone="on")
    await sit(bob, room_id, sfu, microphone="on")
    await moderate(alice, room_id, mallory, "mute")
    await moderate(alice, room_id, bob, "mute")
    await moderate(mallory, room_id, mallory, "unmute", expect=(403, "M_FORBIDDEN"))
    await moderate(mallory, room_id, bob, "unmute", expect=(403, "M_FORBIDDEN"))
    outside = await server.register("oscar")
    await moderate(outside, room_id, mallory, "unmute", expect=(403, "M_FORBIDDEN"))
    assert all(muted for _, muted in told(sfu))
    await moderate(bob, room_id, mallory, "unmute")
    await moderate(bob, room_id, bob, "unmute")


async def test_ones_own_other_device_is_only_asked_to_be_quiet(server: Server, sfu: RecordingBackend) -> None:
    room_id, (_, bob) = await channel(server, "alice", "bob")
    caller = await sit(bob, room_id, sfu, microphone="on")
    await moderate(bob, room_id, bob, "mute")
    assert told(sfu) == [("microphone", True)]
    assert "muted_by_moderator" not in await seen(bob, caller)
    caller.leave()
    await caller.join(microphone="on")
    await tasks_done()
    assert told(sfu) == []


async def test_an_sfu_that_does_not_answer_is_asked_again(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    room_id, (alice, bob) = await channel(server, "alice", "bob")
    caller = await sit(bob, room_id, sfu, microphone="on")
    await moderate(alice, room_id, bob, "mute")
    caller.leave()
    await caller.join(microphone="on")
    sfu.muted.clear()
    sfu.down = True
    await tasks_done()
    sfu.down = False
    clock.advance(seconds=1)
    await until(lambda: ("microphone", True) in [(source, muted) for _, _, source, muted in sfu.muted])


async def test_a_restart_lifts_nothing(database_dsn: str, clock: FakeClock, settings: Settings) -> None:
    first, second = RecordingBackend(clock.now_ms), RecordingBackend(clock.now_ms)
    async with running_homeserver(settings, database_dsn, clock, first) as server:
        room_id, (alice, mallory) = await channel(server, "alice", "mallory")
        await sit(mallory, room_id, first, microphone="on")
        await moderate(alice, room_id, mallory, "mute")
    clock.advance(seconds=1)
    async with running_homeserver(settings, database_dsn, clock, second) as server:
        mallory.base_url, mallory.session = server.base_url, server.session
        await sit(mallory, room_id, second, microphone="on")
        await until(lambda: second.muted)
        assert told(second) == [("microphone", True)]
