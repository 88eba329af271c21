"""Clients that are gone leave no ghosts in the call."""

from __future__ import annotations

import asyncio

import pytest

from config.settings import Settings
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver
from tests.voice.callers import get_token
from tests.voice.recording_backend import RecordingBackend
from tests.voice.seats import CALL_MEMBER, Caller, roster, sit
from tests.voice.waiting import tasks_done
from voice import tokens
from voice.sfu.backend import LeaveReason

RTC_MEMBER = "org.matrix.msc4143.rtc.member"


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def lounge(server: Server, sfu: RecordingBackend, clock: FakeClock) -> Caller:
    """Alice sits there, and has for a while."""
    alice = await server.register("alice")
    caller = await sit(alice, await alice.create_room(preset="public_chat"), sfu)
    clock.advance(minutes=1)
    return caller


async def ended(caller: Caller) -> bool:
    """Whether the membership ends soon, without the clock moving."""
    for _ in range(50):
        if await caller.membership() == {}:
            return True
        await asyncio.sleep(0.01)
    return False


async def stands(caller: Caller) -> bool:
    await tasks_done()
    return bool(await caller.membership())


async def test_alices_laptop_dies_and_she_is_gone_within_a_second(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    """The SFU waits four seconds for a sign of life; five are allowed in all."""
    caller = await lounge(server, sfu, clock)
    caller.leave(LeaveReason.VANISHED)
    assert await stands(caller)
    clock.advance(ms=1000)
    assert await ended(caller)
    event = await caller.client.get(("rooms", caller.room_id, "state", CALL_MEMBER, caller.state_key), format="event")
    assert event["sender"] == caller.client.user_id


async def test_alice_hangs_up_by_herself_and_nothing_is_sent_twice(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    caller = await lounge(server, sfu, clock)
    caller.leave()
    await caller.client.set_state(caller.room_id, CALL_MEMBER, {}, caller.state_key)
    before = (await caller.client.messages(caller.room_id))["chunk"][0]["event_id"]
    clock.advance(seconds=10)
    await tasks_done()
    assert (await caller.client.messages(caller.room_id))["chunk"][0]["event_id"] == before
    assert not server.application.base.life.memory["absent_from_calls"]()["absent"]


async def test_alice_loses_her_network_and_comes_back(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    caller = await lounge(server, sfu, clock)
    caller.leave(LeaveReason.VANISHED)
    clock.advance(ms=100)
    await caller.join()
    clock.advance(seconds=30)
    assert await stands(caller)


async def test_alices_media_breaks_and_she_keeps_her_seat_while_she_connects_anew(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    caller = await lounge(server, sfu, clock)
    since = (await caller.client.sync())["next_batch"]
    caller.leave(LeaveReason.RECONNECTING)
    clock.advance(seconds=9)
    await tasks_done()
    [device] = roster(await caller.client.sync(since=None), caller.room_id)[caller.client.user_id]
    await caller.join()
    clock.advance(seconds=30)
    assert await stands(caller)
    [device_now] = roster(await caller.client.sync(since=since), caller.room_id)[caller.client.user_id]
    assert device_now["since_ts"] == device["since_ts"]
    caller.leave(LeaveReason.RECONNECTING)
    clock.advance(seconds=11)
    assert await ended(caller)


async def test_a_worker_dies_and_alice_does_not_come_back(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    caller = await lounge(server, sfu, clock)
    sfu.lose(caller.sfu_room)
    clock.advance(seconds=9)
    assert await stands(caller)
    clock.advance(seconds=2)
    assert await ended(caller)
    assert roster(await caller.client.sync(since=None), caller.room_id) is None


async def test_alice_leaves_and_is_about_to_join_again(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    """Clients announce themselves before they connect: what is newer than the departure is another attempt."""
    caller = await lounge(server, sfu, clock)
    caller.leave()
    await caller.client.set_state(caller.room_id, CALL_MEMBER, {}, caller.state_key)
    clock.advance(ms=500)
    await caller.announce()
    clock.advance(seconds=3)
    assert await stands(caller)
    clock.advance(seconds=15)
    assert await ended(caller)  # and this time she did not come


async def test_only_the_device_that_is_gone_is_ended(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    caller = await lounge(server, sfu, clock)
    phone = await sit(await caller.client.login(), caller.room_id, sfu)
    old = {"memberships": [{"device_id": phone.client.device_id}, {"device_id": caller.client.device_id}]}
    await caller.client.set_state(caller.room_id, CALL_MEMBER, old, caller.client.user_id)
    clock.advance(seconds=1)
    phone.leave(LeaveReason.VANISHED)
    clock.advance(seconds=1)
    assert await ended(phone)
    assert await stands(caller)
    rest = await caller.client.state(caller.room_id, CALL_MEMBER, caller.client.user_id)
    assert rest == {"memberships": [{"device_id": caller.client.device_id}]}


async def test_mallory_is_banned_and_nothing_fails(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    """Nobody can speak for her in the room any more, and nobody has to: who is not in a room is in no call."""
    caller = await lounge(server, sfu, clock)
    mallory = await server.register("mallory")
    await mallory.join(caller.room_id)
    hers = await sit(mallory, caller.room_id, sfu)
    await caller.client.ban(caller.room_id, mallory)
    await caller.client.sync_until(lambda answer: roster(answer, caller.room_id) is not None)
    clock.advance(seconds=5)
    await tasks_done()
    assert not server.application.base.life.memory["absent_from_calls"]()["absent"]
    assert not sfu.people[hers.sfu_room].get(hers.identity)


async def test_the_server_restarts_and_alice_does_not_come_back(
    database_dsn: str, settings: Settings, sfu: RecordingBackend, clock: FakeClock
) -> None:
    async with running_homeserver(settings, database_dsn, clock, sfu) as server:
        caller = await lounge(server, sfu, clock)
        bob = await server.register("bob")
        await bob.join(caller.room_id)
        back = await sit(bob, caller.room_id, sfu)
        assert set(roster(await bob.sync(), caller.room_id)) == {caller.client.user_id, bob.user_id}
    clock.advance(seconds=1)
    sfu = RecordingBackend(clock.now_ms)
    async with running_homeserver(settings, database_dsn, clock, sfu) as server:
        for client in (bob, caller.client):
            client.base_url, client.session = server.base_url, server.session
        assert roster(await bob.sync(), caller.room_id) == {}
        await Caller(bob, caller.room_id, sfu).join()
        clock.advance(seconds=29)
        assert await stands(caller)
        clock.advance(seconds=2)
        assert await ended(caller)
        assert await stands(back)


async def test_a_sticky_membership_ends_as_well(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    """Each time of joining has a key of its own: the one that vanished ends, the one that came after it stays."""
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    for key in ("first", "second"):
        content = {"msc4354_sticky_key": key, "application": {"type": "m.call"}, "member": {"id": key}}
        path = ("rooms", room_id, "send", RTC_MEMBER, f"joins{key}")
        query = {"org.matrix.msc4354.sticky_duration_ms": 3_600_000}
        await alice.request("PUT", path, json=content, query=query)
        sfu.join((await get_token(alice, room_id, key))["jwt"])
        clock.advance(minutes=1)
    identity = tokens.device_identity(alice.user_id, alice.device_id, "first")
    await alice.sync()
    sfu.leave(tokens.sfu_room(room_id), identity, LeaveReason.VANISHED)
    await tasks_done()
    clock.advance(seconds=1)
    told = await alice.sync_until(lambda answer: answer.timeline(room_id))
    [end] = told.timeline(room_id)
    assert end["type"] == RTC_MEMBER
    assert end["content"] == {"msc4354_sticky_key": "first"}
    assert end["msc4354_sticky"]["duration_ms"] == 3_600_000
    clock.advance(minutes=1)
    await tasks_done()
    assert not (await alice.sync()).timeline(room_id)


ELSEWHERE = "https://beta.example/livekit/jwt"


@pytest.mark.parametrize("selection", ["multi_sfu", "oldest_membership"])
async def test_who_publishes_at_another_servers_sfu_may_leave_ours(
    server: Server, sfu: RecordingBackend, clock: FakeClock, selection: str
) -> None:
    """With several SFUs he only listens here; with one it is that of the oldest membership, whatever his own prefers."""
    here = server.application.calls.well_known["org.matrix.msc4143.rtc_foci"][0]["livekit_service_url"]
    caller, bob = await lounge(server, sfu, clock), await server.register("bob")
    await bob.join(caller.room_id)
    his = await sit(bob, caller.room_id, sfu)
    oldest, own = (ELSEWHERE, here) if selection == "oldest_membership" else (here, ELSEWHERE)
    await caller.announce(oldest, selection)
    clock.advance(seconds=1)
    await his.announce(own, selection)
    clock.advance(minutes=1)
    his.leave()
    clock.advance(seconds=3)
    assert await stands(his)
    clock.advance(minutes=1)
    assert await stands(his)
    assert not server.application.base.life.memory["absent_from_calls"]()["absent"]

    await his.join()
    await caller.announce(here, selection)
    await his.announce(here, selection)
    clock.advance(minutes=1)
    his.leave()
    clock.advance(seconds=3)
    assert await ended(his)


async def test_an_oldest_membership_that_has_expired_decides_nothing(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    caller, ghost = await lounge(server, sfu, clock), await server.register("ghost")
    await ghost.join(caller.room_id)
    await Caller(ghost, caller.room_id, sfu).announce(ELSEWHERE, "oldest_membership")
    clock.advance(hours=5)
    here = server.application.calls.well_known["org.matrix.msc4143.rtc_foci"][0]["livekit_service_url"]
    await caller.announce(here, "oldest_membership")
    clock.advance(minutes=1)
    caller.leave(LeaveReason.VANISHED)
    clock.advance(seconds=1)
    assert await ended(caller)
