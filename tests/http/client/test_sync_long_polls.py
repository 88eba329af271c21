"""GET /sync: waiting for news, and what wakes whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeserver.services.sync.engine import Sync
from homeserver.services.sync.polls import MAX_POLLS_OF_DEVICE
from homeserver.services.sync.quick import QuickAnswers
from tests.cast import Client, Server, SyncAnswer


def engine(server: Server) -> Sync:
    sync: Sync = server.application.sync.sync
    return sync


async def until_waiting(server: Server, count: int = 1) -> None:
    """Until so many syncs wait for a wake-up."""
    for _ in range(2000):
        if server.application.base.announcer.waiting == count:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{server.application.base.announcer.waiting} syncs are waiting, not {count}")


async def begin(client: Client, server: Server, **query: Any) -> asyncio.Task[SyncAnswer]:
    waiting = server.application.base.announcer.waiting
    task = asyncio.create_task(client.sync(timeout=30_000, **query))
    await until_waiting(server, waiting + 1)
    return task


async def two_in_a_room(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await alice.sync()
    await bob.sync()
    # Whatever the arrivals themselves tell (presence) has been told.
    await alice.sync()
    await bob.sync()
    return alice, bob, room_id


async def test_a_message_ends_the_wait_without_a_statement(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    event_id = await alice.send(room_id, "warm up")
    await bob.sync()
    poll = await begin(bob, server)
    before = server.application.base.database.statements
    event_id = await alice.send(room_id, "wake up")
    answer = await poll
    assert answer.event_ids(room_id) == [event_id]
    # One statement checks the transaction id or writes the event; the delivery itself adds none.
    sent = server.application.base.database.statements - before
    quiet = await begin(bob, server)
    before = server.application.base.database.statements
    await alice.send(await alice.create_room(), "nobody hears this")
    assert not quiet.done()
    quiet.cancel()
    assert sent <= 6


async def test_the_wait_ends_with_the_timeout(server: Server) -> None:
    _, bob, _ = await two_in_a_room(server)
    # Alice is not there any more after that time, which would be news.
    poll = await begin(bob, server, filter={"presence": {"types": []}})
    server.clock.advance(ms=29_000)
    await asyncio.sleep(0.01)
    assert not poll.done()
    server.clock.advance(ms=2_000)
    answer = await poll
    assert "rooms" not in answer
    assert server.application.base.announcer.waiting == 0


async def test_what_others_do_elsewhere_wakes_nobody(server: Server) -> None:
    alice, bob, _ = await two_in_a_room(server)
    poll = await begin(bob, server)
    other = await alice.create_room()
    await alice.send(other, "to myself")
    await asyncio.sleep(0.02)
    assert not poll.done()
    await alice.invite(other, bob)
    assert other in (await poll)["rooms"]["invite"]


async def test_a_filtered_message_does_not_end_the_wait(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    wanted = {"room": {"timeline": {"types": ["m.room.topic"]}}, "presence": {"types": []}}
    poll = await begin(bob, server, filter=wanted)
    await alice.send(room_id, "not this")
    await asyncio.sleep(0.02)
    assert not poll.done()
    await alice.set_state(room_id, "m.room.topic", {"topic": "this"})
    assert [event["type"] for event in (await poll).timeline(room_id)] == ["m.room.topic"]


async def test_a_client_that_goes_away_leaves_nothing_behind(server: Server) -> None:
    _, bob, _ = await two_in_a_room(server)
    poll = await begin(bob, server)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await until_waiting(server, 0)
    assert engine(server).polls.memory_usage() == {"devices": 0, "polls": 0}


async def test_a_device_has_a_few_polls_and_the_oldest_gives_way(server: Server) -> None:
    _, bob, _ = await two_in_a_room(server)
    polls = [await begin(bob, server) for _ in range(MAX_POLLS_OF_DEVICE)]
    since = bob.next_batch
    one_more = asyncio.create_task(bob.sync(since=since, timeout=30_000))
    answer = await polls[0]
    assert "rooms" not in answer
    assert not any(poll.done() for poll in (*polls[1:], one_more))
    for poll in (*polls[1:], one_more):
        poll.cancel()


async def test_the_same_first_sync_twice_at_once_is_made_once(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    await alice.sync(since=None)
    before = server.application.base.database.statements
    await alice.sync(since=None)
    one = server.application.base.database.statements - before
    before = server.application.base.database.statements
    answers = await asyncio.gather(*(alice.sync(since=None) for _ in range(5)))
    assert all(answer.event_ids(room_id) == answers[0].event_ids(room_id) for answer in answers)
    assert server.application.base.database.statements - before < 5 * one


async def test_the_short_way_gives_the_same_answer_as_the_long_one(server: Server, monkeypatch: Any) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    other = await alice.create_room(preset="public_chat")
    await bob.join(other)
    await bob.sync()
    before = bob.next_batch
    root = await alice.send(room_id, "hello")
    relation = {"rel_type": "m.thread", "event_id": root}
    await alice.send(room_id, {"msgtype": "m.text", "body": "in a thread", "m.relates_to": relation})
    await alice.set_state(other, "m.room.topic", {"topic": "news"})
    await bob.send(other, "mine", txn_id="mine")
    filters: list[Any] = [None, {"room": {"timeline": {"limit": 5, "unread_thread_notifications": True}}}]
    for wanted in filters:
        with monkeypatch.context() as patch:
            patch.delattr("homeserver.services.sync.answer.Answers.make")
            short = await bob.sync(since=before, filter=wanted)
        with monkeypatch.context() as patch:
            patch.setattr("homeserver.services.sync.quick.MAX_RECENT", -1)
            long = await bob.sync(since=before, filter=wanted)
        assert short.event_ids(room_id)
        assert short.timeline(other)[-1]["unsigned"]["transaction_id"] == "mine"
        assert short == long


async def test_who_waits_for_long_is_still_there(server: Server) -> None:
    alice, bob, _ = await two_in_a_room(server)
    poll = asyncio.create_task(bob.sync(timeout=10 * 60_000, filter={"presence": {"types": []}}))
    await until_waiting(server)
    for _ in range(8):
        server.clock.advance(seconds=30)
        await asyncio.sleep(0.01)
    assert not poll.done()
    presence = await alice.get(("presence", bob.user_id, "status"))
    assert presence["presence"] == "online"
    poll.cancel()


async def test_somebody_types_is_told_the_same_on_the_short_way_and_on_the_long(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id, other = await alice.create_room(preset="public_chat"), await alice.create_room(preset="public_chat")
    for each in (room_id, other):
        await bob.join(each)
    await alice.send(room_id, "hello")
    since = (await bob.sync())["next_batch"]
    for each in (room_id, other):
        await alice.put(("rooms", each, "typing", alice.user_id), {"typing": True, "timeout": 20_000})
    with monkeypatch.context() as patch:
        patch.delattr("homeserver.services.sync.answer.Answers.make")
        told = await bob.sync(since=since, timeout=1_000)
    assert told.ephemeral(room_id, "m.typing") == [{"user_ids": [alice.user_id]}]
    assert told.room(room_id)["unread_notifications"]["notification_count"] == 1
    with monkeypatch.context() as patch:
        patch.setattr(QuickAnswers, "plain_typing", lambda *_: None)
        assert await bob.sync(since=since, timeout=1_000) == told
    only_receipts = {"room": {"ephemeral": {"types": ["m.receipt"]}}}
    assert "rooms" not in await bob.sync(since=since, filter=only_receipts)
