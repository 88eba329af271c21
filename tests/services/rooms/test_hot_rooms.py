"""The kernel: acknowledged events survive, a hot room shares commits, others may be faster, the database may be away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Unavailable
from homeserver.services.rooms.append import Transaction
from homeserver.services.rooms.appender import Plan
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from tests.cast import Client, Server


def message(sender: Client, text: str) -> EventDraft:
    return EventDraft("m.room.message", sender.user_id, {"msgtype": "m.text", "body": text})


async def bodies(database: Database) -> list[str]:
    """The texts of all messages, as the database has them."""
    rows = await database.fetch(
        "SELECT convert_from(body, 'UTF8')::json -> 'content' ->> 'body' FROM events"
        " WHERE type = 'm.room.message' ORDER BY position"
    )
    return [row[0] for row in rows]


async def test_a_message_is_one_statement_and_is_stored_when_it_is_answered(server: Server, database_dsn: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.send(room_id, "the first one reads the device's transactions")
    database = server.application.base.database
    before = database.statements
    await alice.send(room_id, "hello")
    assert database.statements - before == 1
    # Seen by somebody who shares nothing with the server but the database.
    stranger = Database(database_dsn, PoolLimits(max_connections=1, wait_seconds=5))
    assert (await bodies(stranger))[-1] == "hello"
    await stranger.close()


async def test_sends_into_a_hot_room_share_commits_and_keep_their_order(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    appender, database = server.application.kernel.appender, server.application.base.database
    texts = [f"message {number}" for number in range(100)]
    before = database.statements
    await asyncio.gather(
        *(appender.commit(room_id, lambda room, text=text: Plan([message(alice, text)])) for text in texts)
    )
    assert database.statements - before <= 3
    assert await bodies(database) == texts
    room = await server.application.base.cache.get(room_id)
    assert (room.pending, room.pending_state) == (0, {})
    depths = [row[0] for row in await database.fetch("SELECT depth FROM events ORDER BY position")]
    assert depths == list(range(1, len(depths) + 1))


async def test_state_that_is_not_committed_yet_counts_for_the_next_event(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    appender = server.application.kernel.appender
    ban = EventDraft("m.room.member", alice.user_id, {"membership": "ban"}, bob.user_id)
    outcomes: Any = await asyncio.gather(
        appender.commit(room_id, lambda room: Plan([ban])),
        appender.commit(room_id, lambda room: Plan([message(bob, "too late")])),
        return_exceptions=True,
    )
    assert not isinstance(outcomes[0], BaseException)
    assert "not in the room" in str(outcomes[1])


async def test_another_process_was_faster(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    base, appender = server.application.base, server.application.kernel.appender
    stale = await base.cache.get(room_id)
    # Another process has moved the tip.
    await base.database.execute("UPDATE rooms SET tip_version = tip_version + 1 WHERE room_id = $1", room_id)
    texts = [f"message {number}" for number in range(10)]
    await asyncio.gather(
        *(appender.commit(room_id, lambda room, text=text: Plan([message(alice, text)])) for text in texts)
    )
    assert stale.retired
    assert await base.cache.get(room_id) is not stale
    assert sorted(await bodies(base.database)) == sorted(texts)


async def test_a_refused_command_does_not_keep_others_from_their_commit(server: Server) -> None:
    alice = await server.register("alice")
    rooms = [await alice.create_room() for _ in range(3)]
    appender, database = server.application.kernel.appender, server.application.base.database

    async def fails(q: Any) -> None:
        raise LookupError("no")

    outcomes = await asyncio.gather(
        appender.commit(rooms[0], lambda room: Plan([message(alice, "one")])),
        appender.commit(rooms[1], lambda room: Plan([message(alice, "two")], also=fails)),
        appender.commit(rooms[2], lambda room: Plan([message(alice, "three")])),
        return_exceptions=True,
    )
    assert [isinstance(each, LookupError) for each in outcomes] == [False, True, False]
    assert sorted(await bodies(database)) == ["one", "three"]
    await alice.send(rooms[1], "again")


async def test_a_transaction_that_memory_has_forgotten_is_still_one_event(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first = await alice.send(room_id, "hello", txn_id="t")
    transactions = server.application.kernel.transactions
    # As after a day: not in memory any more, but not pruned yet either.
    transactions._finished[(alice.user_id, alice.device_id)].clear()
    assert await alice.send(room_id, "hello", txn_id="t") == first
    assert await bodies(server.application.base.database) == ["hello"]
    await alice.send(room_id, "more")


async def test_a_database_that_is_away_is_answered_with_503_and_comes_back(
    server: Server, postgres_server: Any, database_dsn: str
) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.send(room_id, "before")
    database = server.application.base.database
    name = database_dsn.rsplit("/", 1)[-1].partition("?")[0]
    admin = Database(postgres_server.dsn_of("postgres"), PoolLimits(max_connections=1, wait_seconds=5))
    await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    await admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
    await admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_away"')
    path = ("rooms", room_id, "send", "m.room.message", "lost")
    for _ in range(2):
        await alice.put(path, {"msgtype": "m.text", "body": "lost"}, expect=503)
    await admin.execute(f'ALTER DATABASE "{name}_away" RENAME TO "{name}"')
    await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    await admin.close()

    async def send_again() -> None:
        while True:
            answer = await alice.raw("PUT", path, data=b'{"msgtype":"m.text","body":"lost"}')
            if answer.status == 200:
                return
            await asyncio.sleep(0.05)

    await asyncio.wait_for(send_again(), timeout=10)
    await alice.send(room_id, "after")
    assert await bodies(database) == ["before", "lost", "after"]
    assert server.application.kernel.writer.position.current == await database.fetchval(
        "SELECT max(event_nid) FROM events"
    )


async def test_a_commit_whose_answer_was_lost_is_found_and_not_done_twice(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    writer, base = server.application.kernel.writer, server.application.base
    write = type(writer)._write

    async def committed_but_unheard(self: Any, *arguments: Any) -> Any:
        await write(self, *arguments)
        raise Unavailable("the connection broke after the commit")

    transaction = Transaction(alice.user_id, alice.device_id, "key", "txn")
    transactions, appender = server.application.kernel.transactions, server.application.kernel.appender

    async def send() -> str:
        plan = Plan([message(alice, "hello")], transaction)
        event_id: str = (await appender.commit(room_id, lambda room: plan))[-1].event_id
        return event_id

    with monkeypatch.context() as broken:
        broken.setattr(type(writer), "_write", committed_but_unheard)
        with pytest.raises(Unavailable):
            await transactions.once(transaction, send)
    event_id = await transactions.once(transaction, send)
    assert await bodies(base.database) == ["hello"]
    await alice.send(room_id, "next")
    room = await base.cache.get(room_id)
    assert event_id == next(each.event_id for each in room.recent if each.type == "m.room.message")
    recent = writer.recent.since(0)
    assert recent is None or event_id in [each.event_id for each in recent]


async def test_nothing_is_acknowledged_that_rests_on_an_uncommitted_event(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    writer = server.application.kernel.writer

    async def away(self: Any, *arguments: Any) -> Any:
        await asyncio.sleep(0.05)
        raise Unavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(type(writer), "_write", away)
        path = ("rooms", room_id, "state", "m.room.topic", "")
        first = asyncio.create_task(alice.put(path, {"topic": "Tea"}, expect=503))
        await asyncio.sleep(0.02)
        # The same state again: there would be nothing to write, if only the first were stored.
        second = asyncio.create_task(alice.put(path, {"topic": "Tea"}, expect=503))
        await asyncio.gather(first, second)
    await alice.state(room_id, "m.room.topic", expect=(404, "M_NOT_FOUND"))


async def test_an_evicted_room_is_not_built_upon(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    base, appender = server.application.base, server.application.kernel.appender
    held = await base.cache.get(room_id)
    base.cache._capacity = 1
    await alice.create_room()
    base.cache._capacity = 60_000
    assert base.cache.peek(room_id) is None
    await alice.send(room_id, "into the fresh one")
    assert held.retired
    await appender.commit(room_id, lambda room: Plan([message(alice, "second")]))
    assert await bodies(base.database) == ["into the fresh one", "second"]
