"""Rosters on request, and what moderators do in a call."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.voice.recording_backend import RecordingBackend
from tests.voice.seats import roster, sit
from tests.voice.waiting import tasks_done, until
from voice.sfu.backend import LeaveReason

MOVE = "org.voicechat.voice.move"


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def lounge(server: Server, *names: str, **more: Any) -> tuple[str, list[Client]]:
    """A voice channel; who is named first made it."""
    people = [await server.register(name) for name in names]
    body = {"preset": "public_chat", "creation_content": {"type": "org.matrix.msc3417.call"}, **more}
    room_id = await people[0].create_room(**body)
    for other in people[1:]:
        await other.join(room_id)
    return room_id, people


def path(room_id: str, *more: str) -> tuple[str, ...]:
    return ("/_voicechat", "client", "v1", "rooms", room_id, "voice", *more)


async def voice(client: Client, room_id: str, **more: Any) -> Any:
    return await client.get("/".join(path(room_id)), **more)


async def moderate(client: Client, room_id: str, whom: Client, verb: str, body: Any = None, **more: Any) -> Any:
    return await client.post("/".join(path(room_id, whom.user_id, verb)), body or {}, **more)


async def test_the_roster_is_for_members(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    mallory = await server.register("mallory")
    await sit(alice, room_id, sfu, microphone="on", speaking=True)
    told = await voice(bob, room_id)
    assert told["participants"][alice.user_id][0]["speaking"] is True
    await voice(mallory, room_id, expect=(403, "M_FORBIDDEN"))
    await voice(mallory, "!nowhere:test", expect=(403, "M_FORBIDDEN"))
    await voice(server.anonymous(), room_id, expect=(401, "M_MISSING_TOKEN"))
    await bob.leave(room_id)
    await voice(bob, room_id, expect=(403, "M_FORBIDDEN"))


async def test_where_everybody_may_read_everybody_sees_who_talks(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice,) = await lounge(server, "alice")
    await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
    await sit(alice, room_id, sfu)
    assert set((await voice(await server.register("bob"), room_id))["participants"]) == {alice.user_id}


async def test_a_moderator_mutes_somebody(
    server: Server, sfu: RecordingBackend, caplog: pytest.LogCaptureFixture
) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    caller = await sit(bob, room_id, sfu, microphone="on", screen=True)
    with caplog.at_level(logging.INFO, logger="voice.moderation"):
        await moderate(alice, room_id, bob, "mute")
        await moderate(alice, room_id, bob, "mute", {"what": "screen"})
    who = (caller.sfu_room, caller.identity)
    assert sfu.muted == [(*who, source, True) for source in ("microphone", "screen_share", "screen_share_audio")]
    assert f"{alice.user_id} muted the microphone of {bob.user_id} in the call of {room_id}" in caplog.messages
    assert roster(await alice.sync(), room_id)[bob.user_id][0]["microphone"] == "muted"
    await moderate(alice, room_id, bob, "mute", {"what": "thoughts"}, expect=(400, "M_INVALID_PARAM"))
    await moderate(alice, room_id, bob, "mute", {"what": 5}, expect=(400, "M_BAD_JSON"))


async def test_a_moderator_disconnects_somebody_who_may_come_back(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    caller = await sit(bob, room_id, sfu)
    clock.advance(seconds=1)
    await moderate(alice, room_id, bob, "disconnect")
    assert sfu.removed == [(caller.sfu_room, caller.identity, LeaveReason.REMOVED)]
    assert (await voice(alice, room_id))["participants"] == {}
    clock.advance(seconds=1)
    await until(lambda: not server.application.base.life.memory["absent_from_calls"]()["absent"])
    assert await caller.membership() == {}
    await caller.join()
    assert set((await voice(alice, room_id))["participants"]) == {bob.user_id}


async def test_mallory_moderates_nobody(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob, mallory) = await lounge(server, "alice", "bob", "mallory")
    outside = await server.register("oscar")
    for target in (alice, bob):
        await sit(target, room_id, sfu)
        for somebody in (mallory, outside):
            for verb, body in (("mute", {}), ("disconnect", {}), ("move", {"to": room_id})):
                await moderate(somebody, room_id, target, verb, body, expect=(403, "M_FORBIDDEN"))
    assert [*sfu.muted, *sfu.removed, *sfu.sent] == []


async def test_moderators_of_one_level_leave_each_other_alone(server: Server, sfu: RecordingBackend) -> None:
    """And the level that is needed can be set apart from that for kicks."""
    room_id, (alice, bob, carol) = await lounge(server, "alice", "bob", "carol", room_version="11")
    levels = await alice.state(room_id, "m.room.power_levels")
    levels["users"] |= {bob.user_id: 20, carol.user_id: 20}
    levels["events"]["org.voicechat.voice.moderate"] = 20
    await alice.set_state(room_id, "m.room.power_levels", levels)
    await sit(carol, room_id, sfu)
    await moderate(bob, room_id, carol, "mute", expect=(403, "M_FORBIDDEN"))
    levels["users"][bob.user_id] = 21
    await alice.set_state(room_id, "m.room.power_levels", levels)
    await moderate(bob, room_id, carol, "mute")
    assert len(sfu.muted) == 1


async def test_nobody_is_moderated_who_is_not_there(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    for verb, body in (("mute", {}), ("disconnect", {}), ("move", {"to": room_id})):
        await moderate(alice, room_id, bob, verb, body, expect=(404, "M_NOT_FOUND"))


async def test_bob_is_moved_and_goes(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    games = await alice.create_room(preset="public_chat")
    await bob.join(games)
    caller = await sit(bob, room_id, sfu)
    await moderate(alice, room_id, bob, "move", {"to": games})
    [letter] = (await bob.sync()).to_device(MOVE)
    assert letter["content"] == {"from": room_id, "to": games, "reason": "moderator"}
    assert letter["sender"] == alice.user_id
    assert sfu.sent[0].topic == "org.voicechat.move"
    assert sfu.sent[0].identities == (caller.identity,)
    caller.leave()
    await sit(bob, games, sfu)
    clock.advance(seconds=4)
    await tasks_done()
    assert not sfu.removed


async def test_bob_is_moved_and_stays(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    games = await alice.create_room(preset="public_chat")
    await bob.join(games)
    caller = await sit(bob, room_id, sfu)
    await moderate(alice, room_id, bob, "move", {"to": games})
    await tasks_done()
    clock.advance(seconds=3)
    await until(lambda: sfu.removed)
    assert sfu.removed == [(caller.sfu_room, caller.identity, LeaveReason.MOVED)]


async def test_nobody_is_moved_to_where_he_cannot_be(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    await sit(bob, room_id, sfu)
    private = await alice.create_room()
    theirs = await bob.create_room()
    for to in (private, theirs, "!nowhere:test"):
        await moderate(alice, room_id, bob, "move", {"to": to}, expect=(403, "M_FORBIDDEN"))
    await moderate(alice, room_id, bob, "move", {"to": "lounge"}, expect=(400, "M_INVALID_PARAM"))
    await moderate(alice, room_id, bob, "move", {}, expect=(400, "M_MISSING_PARAM"))
    assert not sfu.sent


async def test_the_sfu_is_away(server: Server, sfu: RecordingBackend) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    await sit(bob, room_id, sfu)
    sfu.down = True
    await moderate(alice, room_id, bob, "mute", expect=503)
    await moderate(alice, room_id, bob, "disconnect", expect=503)
    assert set((await voice(alice, room_id))["participants"]) == {bob.user_id}


async def test_who_is_quiet_for_long_is_told_to_go_to_the_bench(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    bench = await alice.create_room(preset="public_chat")
    await bob.join(bench)
    await alice.set_state(room_id, "org.voicechat.voice_channel", {"afk_room_id": bench, "afk_after_ms": 60_000})
    hers, his = await sit(alice, room_id, sfu), await sit(bob, room_id, sfu, microphone="muted")
    for minute in range(2):
        hers.change(speaking=minute % 2 == 0, camera=True)
        for _ in range(12):
            clock.advance(seconds=5)
            await tasks_done()
    [letter] = (await bob.sync()).to_device(MOVE)
    assert letter["content"] == {"from": room_id, "to": bench, "reason": "afk"}
    assert [sent.identities for sent in sfu.sent] == [(his.identity,)]
    assert not (await alice.sync()).to_device(MOVE)
    assert not sfu.removed
