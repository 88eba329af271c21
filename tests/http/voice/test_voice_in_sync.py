"""Who sits in a voice channel is seen by everybody in the room, without joining the call."""

from __future__ import annotations

import asyncio

import pytest

from tests.cast import Client, Server, SyncAnswer
from tests.clock import FakeClock
from tests.voice.recording_backend import RecordingBackend
from tests.voice.seats import CALL_MEMBER, roster, sit
from voice.sfu.backend import LeaveReason

LOUNGE = {"preset": "public_chat", "name": "Lounge", "creation_content": {"type": "org.matrix.msc3417.call"}}


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def lounge(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(**LOUNGE)
    await bob.join(room_id)
    return alice, bob, room_id


async def test_bob_sees_that_alice_sits_in_the_lounge_and_talks(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    alice, bob, room_id = await lounge(server)
    await bob.sync()
    caller = await sit(alice, room_id, sfu, microphone="muted")
    device = {
        "device_id": alice.device_id,
        "since_ts": clock.now_ms(),
        "microphone": "muted",
        "deafened": False,
        "speaking": False,
        "camera": False,
        "screen": False,
    }
    assert roster(await bob.sync(), room_id) == {alice.user_id: [device]}

    clock.advance(minutes=1)
    caller.change(microphone="on", speaking=True, screen=True, attributes={"org.voicechat.deafened": "1"})
    told = roster(await bob.sync(), room_id)
    assert told == {alice.user_id: [{**device, "microphone": "on", "speaking": True, "screen": True, "deafened": True}]}

    caller.leave()
    assert roster(await bob.sync(), room_id) == {}
    assert roster(await bob.sync(), room_id) is None


async def test_a_waiting_sync_is_woken_and_asks_the_database_nothing(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await lounge(server)
    caller = await sit(alice, room_id, sfu)
    await bob.sync()
    await bob.sync()
    waiting = asyncio.create_task(bob.sync(timeout=30_000))
    while not server.application.base.announcer.waiting:
        await asyncio.sleep(0.01)
    before = server.application.base.database.statements
    caller.leave(LeaveReason.VANISHED)
    assert roster(await waiting, room_id) == {}
    assert server.application.base.database.statements == before


async def test_who_comes_later_is_told_who_is_there(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await lounge(server)
    await sit(alice, room_id, sfu)
    assert set(roster(await bob.sync(since=None), room_id)) == {alice.user_id}
    carol = await server.register("carol")
    await carol.sync()
    await carol.join(room_id)
    assert set(roster(await carol.sync(), room_id)) == {alice.user_id}


async def test_mallory_outside_hears_nothing(server: Server, sfu: RecordingBackend) -> None:
    alice, _, room_id = await lounge(server)
    mallory = await server.register("mallory")
    await mallory.sync()
    await sit(alice, room_id, sfu)
    answer = await mallory.sync()
    assert room_id not in str(answer)
    assert alice.user_id not in str(answer)


async def test_mallory_is_kicked_and_gone_from_the_roster(server: Server, sfu: RecordingBackend) -> None:
    alice, mallory, room_id = await lounge(server)
    await sit(mallory, room_id, sfu)
    await alice.sync()
    await alice.kick(room_id, mallory)
    await alice.sync_until(lambda answer: roster(answer, room_id) == {})
    assert sfu.removed


async def test_a_filter_may_leave_rosters_out(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await lounge(server)
    without = {"room": {"ephemeral": {"not_types": ["org.voicechat.voice"]}}}
    typing_only = {"room": {"ephemeral": {"types": ["m.typing"]}}}
    await sit(alice, room_id, sfu)
    assert roster(await bob.sync(since=None, filter=without), room_id) is None
    assert roster(await bob.sync(since=None, filter=typing_only), room_id) is None
    assert roster(await bob.sync(since=None), room_id) is not None


async def test_talking_is_told_five_times_a_second_at_most(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    alice, bob, room_id = await lounge(server)
    caller = await sit(alice, room_id, sfu)
    await bob.sync()
    for number in range(10):
        caller.change(speaking=number % 2 == 0)
    assert roster(await bob.sync(), room_id) is None
    clock.advance(ms=200)
    told = await bob.sync_until(lambda answer: roster(answer, room_id))
    assert roster(told, room_id)[alice.user_id][0]["speaking"] is False
    assert roster(await bob.sync(), room_id) is None


async def test_mallory_who_comes_and_goes_without_end_does_not_keep_everybody_awake(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    alice, bob, room_id = await lounge(server)
    caller = await sit(alice, room_id, sfu)
    await bob.sync()
    position = server.application.rosters.source.position
    before = position.current
    for _ in range(100):
        caller.leave()
        await caller.join()
    caller.leave()
    assert position.current - before <= 25
    clock.advance(ms=200)
    await bob.sync_until(lambda answer: roster(answer, room_id) == {})
    clock.advance(seconds=5)
    await caller.join()
    assert roster(await bob.sync(), room_id)  # and later everything is told at once again


async def test_talk_elsewhere_does_not_slow_a_message_down(server: Server, sfu: RecordingBackend) -> None:
    """The short way of sync stays open to those who are not concerned."""
    alice, _, room_id = await lounge(server)
    carol = await server.register("carol")
    tea = await carol.create_room()
    await carol.sync()
    await carol.sync()
    await sit(alice, room_id, sfu)
    event_id = await carol.send(tea, "nobody here talks")
    quick = server.application.sync.sync.quick
    told: list[object] = []
    assert quick.voice.concerns({room_id}, 0, 10**15)
    assert not quick.voice.concerns({tea}, 0, 10**15)
    answer = await carol.sync()
    told.append(answer)
    assert answer.event_ids(tea) == [event_id]


async def test_a_room_of_people_on_two_devices(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    alice, bob, room_id = await lounge(server)
    phone = await alice.login()
    await sit(alice, room_id, sfu)
    clock.advance(seconds=1)
    await sit(phone, room_id, sfu)
    devices = [each["device_id"] for each in roster(await bob.sync(), room_id)[alice.user_id]]
    assert devices == [alice.device_id, phone.device_id]


async def test_a_worker_dies_and_nobody_seems_to_leave(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    alice, bob, room_id = await lounge(server)
    caller = await sit(alice, room_id, sfu)
    since_ts = clock.now_ms()
    await bob.sync()
    clock.advance(seconds=5)
    sfu.lose(caller.sfu_room)
    told: SyncAnswer = await bob.sync()
    assert set(roster(told, room_id)) == {alice.user_id}
    clock.advance(seconds=3)
    await caller.join()
    assert roster(await bob.sync(), room_id)[alice.user_id][0]["since_ts"] == since_ts
    clock.advance(seconds=20)
    assert (await caller.membership())["device_id"] == alice.device_id


async def test_calls_of_a_new_room_are_for_its_members(server: Server) -> None:
    """createRoom with a type for calls lets members announce themselves, and moderators change the channel."""
    alice, bob, room_id = await lounge(server)
    levels = await alice.state(room_id, "m.room.power_levels")
    assert levels["events"][CALL_MEMBER] == 0
    wish = {"user_limit": 5, "bitrate": 96_000}
    await bob.set_state(room_id, "org.voicechat.voice_channel", wish, expect=(403, "M_FORBIDDEN"))
    await alice.set_state(room_id, "org.voicechat.voice_channel", wish)
