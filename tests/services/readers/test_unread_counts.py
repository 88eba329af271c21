"""What is unread for Alice: counted as events commit, and counted again from the database with the same result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from homeserver.services.sync.sources import Counts, UnreadCounts
from homeserver.services.unread.unread import Unread
from tests.cast import Client, Server

NOTHING = UnreadCounts()


def _unread(server: Server) -> Unread:
    unread = server.application.readers.unread
    assert isinstance(unread, Unread)
    return unread


async def _counts(server: Server, reader: Client, room_id: str) -> UnreadCounts:
    """The counts, which must be the same whether they were followed in memory or are counted in the database."""
    unread = _unread(server)
    followed = (await unread.counts(reader.user_id, [room_id]))[room_id]
    unread.forget_reader(reader.user_id)
    counted = (await unread.counts(reader.user_id, [room_id]))[room_id]
    assert followed == counted
    return followed


async def _two(server: Server, **room: Any) -> tuple[Client, Client, str]:
    """Bob's room with Alice and Carol in it, of which Alice has read everything."""
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    room_id = await bob.create_room(preset="public_chat", **room)
    await alice.join(room_id)
    await carol.join(room_id)
    assert await _counts(server, alice, room_id) == NOTHING
    return alice, bob, room_id


async def _read(
    reader: Client, room_id: str, event_id: str, thread_id: str | None = None, kind: str = "m.read"
) -> None:
    body = {} if thread_id is None else {"thread_id": thread_id}
    await reader.post(("rooms", room_id, "receipt", kind, event_id), body)


def _mention(*people: Client, text: str = "hey") -> dict[str, Any]:
    return {"msgtype": "m.text", "body": text, "m.mentions": {"user_ids": [each.user_id for each in people]}}


def _in_thread(root: str, **content: Any) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": "...", "m.relates_to": {"rel_type": "m.thread", "event_id": root}, **content}


def _main(notifications: int, highlights: int = 0) -> UnreadCounts:
    counts = Counts(notifications, highlights)
    return UnreadCounts(main=counts, total=counts)


async def test_messages_of_others_are_unread_until_they_are_read(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "one")
    second = await bob.send(room_id, "two")
    third = await bob.send(room_id, "three")
    assert await _counts(server, alice, room_id) == _main(3)
    await _read(alice, room_id, second)
    assert await _counts(server, alice, room_id) == _main(1)
    await _read(alice, room_id, third)
    assert await _counts(server, alice, room_id) == NOTHING


async def test_a_receipt_never_goes_backwards(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    first = await bob.send(room_id, "one")
    second = await bob.send(room_id, "two")
    await _read(alice, room_id, second)
    await _read(alice, room_id, first)
    await _read(alice, room_id, first, kind="m.read.private")
    assert await _counts(server, alice, room_id) == NOTHING


async def test_the_private_receipt_counts_as_well(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    event_id = await bob.send(room_id, "one")
    await _read(alice, room_id, event_id, kind="m.read.private")
    assert await _counts(server, alice, room_id) == NOTHING


async def test_own_messages_do_not_count_and_mark_as_read(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "are you there?")
    assert await _counts(server, alice, room_id) == _main(1)
    await alice.send(room_id, "yes")
    assert await _counts(server, alice, room_id) == NOTHING
    await bob.send(room_id, "good")
    assert await _counts(server, alice, room_id) == _main(1)


async def test_a_new_display_name_reads_nothing(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "hello")
    await alice.set_state(room_id, "m.room.member", {"membership": "join", "displayname": "Al"}, alice.user_id)
    assert await _counts(server, alice, room_id) == _main(1)


async def test_who_joins_has_read_what_was_before_and_nothing_counts_after_leaving(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "before")
    await alice.leave(room_id)
    await bob.send(room_id, "meanwhile")
    assert await _unread(server).counts(alice.user_id, [room_id]) == {}
    await alice.join(room_id)
    assert await _counts(server, alice, room_id) == NOTHING
    await bob.send(room_id, "after")
    assert await _counts(server, alice, room_id) == _main(1)


async def test_mentions_are_highlights(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "plain")
    await bob.send(room_id, _mention(alice))
    assert await _counts(server, alice, room_id) == _main(2, 1)


async def test_the_whole_room_is_mentioned_with_two_flags_and_no_rows(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    content = {"msgtype": "m.text", "body": "all!", "m.mentions": {"room": True}}
    await bob.send(room_id, content)
    assert await _counts(server, alice, room_id) == _main(1, 1)
    # Alice has not the power for it: only her words arrive.
    await alice.send(room_id, content)
    assert await _counts(server, bob, room_id) == _main(1)
    database = server.application.base.database
    assert await database.fetchval("SELECT count(*) FROM push_actions") == 0


async def test_what_does_not_notify_is_not_unread(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    event_id = await bob.send(room_id, "hello")
    await _read(alice, room_id, event_id)
    await bob.send(room_id, {"msgtype": "m.notice", "body": "beep"})
    await bob.set_state(room_id, "m.room.topic", {"topic": "news"})
    annotation = {"rel_type": "m.annotation", "event_id": event_id, "key": "+1"}
    await bob.send(room_id, {"m.relates_to": annotation}, "m.reaction")
    replaced = {"rel_type": "m.replace", "event_id": event_id}
    await bob.send(room_id, {"msgtype": "m.text", "body": "* hi", "m.relates_to": replaced})
    assert await _counts(server, alice, room_id) == NOTHING


async def test_a_redacted_message_is_no_longer_unread(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "stays")
    plain = await bob.send(room_id, "goes")
    mention = await bob.send(room_id, _mention(alice))
    await bob.redact(room_id, plain)
    await bob.redact(room_id, mention)
    assert await _counts(server, alice, room_id) == _main(1)


async def test_ignored_people_make_nothing_unread(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "one")
    await bob.send(room_id, _mention(alice))
    assert await _counts(server, alice, room_id) == _main(2, 1)
    path = ("user", alice.user_id, "account_data", "m.ignored_user_list")
    await alice.put(path, {"ignored_users": {bob.user_id: {}}})
    assert await _counts(server, alice, room_id) == NOTHING
    await bob.send(room_id, _mention(alice))
    assert await _counts(server, alice, room_id) == NOTHING


async def test_threads_are_counted_and_read_apart(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    root = await bob.send(room_id, "root")
    first = await bob.send(room_id, _in_thread(root))
    last = await bob.send(room_id, _in_thread(root, **{"m.mentions": {"user_ids": [alice.user_id]}}))
    after = await bob.send(room_id, "in main")
    expected = UnreadCounts(Counts(2, 0), {root: Counts(2, 1)}, Counts(4, 1))
    assert await _counts(server, alice, room_id) == expected
    await _read(alice, room_id, first, root)
    assert await _counts(server, alice, room_id) == UnreadCounts(Counts(2), {root: Counts(1, 1)}, Counts(3, 1))
    await _read(alice, room_id, after, "main")
    assert await _counts(server, alice, room_id) == UnreadCounts(Counts(), {root: Counts(1, 1)}, Counts(1, 1))
    await _read(alice, room_id, last)
    assert await _counts(server, alice, room_id) == NOTHING


async def test_an_unthreaded_receipt_behind_a_threaded_one_makes_nothing_unread_again(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    root = await bob.send(room_id, "root")
    threaded = await bob.send(room_id, _in_thread(root))
    await bob.send(room_id, "in main")
    await _read(alice, room_id, threaded, root)
    await _read(alice, room_id, root)
    assert await _counts(server, alice, room_id) == _main(1)


async def test_answering_in_a_thread_reads_that_thread(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    root = await bob.send(room_id, "root")
    await bob.send(room_id, _in_thread(root))
    await alice.send(room_id, _in_thread(root))
    assert await _counts(server, alice, room_id) == _main(1)


async def test_a_reply_to_a_threaded_event_belongs_to_its_thread(server: Server) -> None:
    """Indirect relations are followed: "a maximum of 3 hops"."""
    alice, bob, room_id = await _two(server)
    root = await bob.send(room_id, "root")
    threaded = await bob.send(room_id, _in_thread(root))
    reference = {"rel_type": "m.reference", "event_id": threaded}
    await bob.send(room_id, {"msgtype": "m.text", "body": "about that", "m.relates_to": reference})
    expected = UnreadCounts(Counts(1), {root: Counts(2)}, Counts(3))
    assert await _counts(server, alice, room_id) == expected


async def test_a_muted_room_stays_silent_and_writes_no_rows(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "before")
    rule = {
        "actions": [],
        "conditions": [{"kind": "event_match", "key": "room_id", "pattern": room_id}],
    }
    await alice.put(("pushrules", "global", "override", room_id), rule)
    assert await _counts(server, alice, room_id) == NOTHING
    await bob.send(room_id, "muted")
    await bob.send(room_id, _mention(alice))
    assert await _counts(server, alice, room_id) == NOTHING
    database = server.application.base.database
    assert await database.fetchval("SELECT count(*) FROM push_actions WHERE notify") == 0


async def test_mentions_only_in_groups_but_everything_one_to_one(server: Server) -> None:
    alice, bob, group = await _two(server)
    await alice.put(("pushrules", "global", "underride", ".m.rule.message", "actions"), {"actions": []})
    direct = await bob.create_room(preset="trusted_private_chat", invite=[alice.user_id])
    await alice.join(direct)
    for room_id in (group, direct):
        await bob.send(room_id, "plain")
        await bob.send(room_id, _mention(alice))
    assert await _counts(server, alice, group) == _main(1, 1)
    assert await _counts(server, alice, direct) == _main(2, 1)


async def test_keywords_and_display_names_of_customised_readers(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    await alice.put(
        ("pushrules", "global", "content", "cake"),
        {"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]},
    )
    await bob.send(room_id, "there is Cake!")
    await bob.send(room_id, "pancakes")
    assert await _counts(server, alice, room_id) == _main(2, 1)
    assert await _counts(server, await alice.login(), room_id) == _main(2, 1)


async def test_an_invitation_notifies_the_invited_customised_or_not(server: Server) -> None:
    _, bob, room_id = await _two(server)
    carol = await server.register("caroline")
    await bob.invite(room_id, carol)
    database = server.application.base.database
    rows = await database.fetch("SELECT user_id, notify, highlight FROM push_actions")
    assert [tuple(row) for row in rows] == [(carol.user_id, True, False)]
    await carol.join(room_id)
    assert await _counts(server, carol, room_id) == NOTHING


async def test_mentions_that_were_read_are_not_counted_again(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    event_id = await bob.send(room_id, _mention(alice))
    assert await _counts(server, alice, room_id) == _main(1, 1)
    await _read(alice, room_id, event_id)
    assert await _counts(server, alice, room_id) == NOTHING
    await bob.send(room_id, _mention(alice))
    await alice.send(room_id, "yes?")
    assert await _counts(server, alice, room_id) == NOTHING


async def test_many_rooms_cost_a_constant_number_of_statements(server: Server) -> None:
    alice, bob, _ = await _two(server)
    rooms = [await bob.create_room(preset="public_chat") for _ in range(6)]
    for room_id in rooms:
        await alice.join(room_id)
        await bob.send(room_id, "hello")
    unread, database = _unread(server), server.application.base.database

    async def cost(room_ids: list[str]) -> int:
        await unread.own_reads.flush()
        unread.forget_reader(alice.user_id)
        before = database.statements
        counts: Mapping[str, UnreadCounts] = await unread.counts(alice.user_id, room_ids)
        assert counts == dict.fromkeys(room_ids, _main(1))
        return int(database.statements - before)

    await cost(rooms)
    assert await cost(rooms[:1]) == await cost(rooms) == 1


async def test_a_new_message_is_counted_without_a_statement(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    database = server.application.base.database
    await bob.send(room_id, _mention(alice))
    before = database.statements
    counts = await _unread(server).counts(alice.user_id, [room_id])
    assert (counts[room_id], database.statements - before) == (_main(1, 1), 0)


async def test_a_message_costs_no_more_statements_because_people_customised_their_rules(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    database = server.application.base.database

    async def cost() -> int:
        before = database.statements
        await bob.send(room_id, "hello")
        return int(database.statements - before)

    await cost()
    plain = await cost()
    await alice.put(("pushrules", "global", "content", "cake"), {"pattern": "cake", "actions": ["notify"]})
    assert await cost() == plain <= 6


async def test_counts_survive_a_restart_of_what_is_in_memory(server: Server) -> None:
    """Evicted from both caches, Alice's counts come back from the database, own messages included."""
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "one")
    await alice.send(room_id, "two")
    await bob.send(room_id, "three")
    server.application.base.awake._drop(alice.user_id)
    await bob.send(room_id, "four")
    assert await _counts(server, alice, room_id) == _main(2)


@pytest.mark.parametrize("thread_id", ["main", "root"])
async def test_counts_that_are_asked_for_while_events_commit_are_right(server: Server, thread_id: str) -> None:
    alice, bob, room_id = await _two(server)
    root = await bob.send(room_id, "root")
    content = {"msgtype": "m.text", "body": "x"} if thread_id == "main" else _in_thread(root)
    unread = _unread(server)

    async def ask() -> None:
        for _ in range(10):
            unread.forget_reader(alice.user_id)
            await unread.counts(alice.user_id, [room_id])

    async def talk() -> None:
        for _ in range(10):
            await bob.send(room_id, content)

    await asyncio.gather(ask(), talk(), ask())
    assert (await _counts(server, alice, room_id)).total == Counts(11)
