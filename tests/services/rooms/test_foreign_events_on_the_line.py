"""The writer and events of other servers (decision 0017): with and without a place, and what they do to the room's state."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from homeserver.protocol.errors import Unavailable
from homeserver.services.announcer import Resolved
from homeserver.services.rooms.append import StateChange, TipMoved
from homeserver.services.rooms.timeline_event import OUTLIER, PASSED_OVER, REJECTED, SOFT_FAILED
from homeserver.storage.database import Database
from homeserver.storage.event_writes import EventWrites
from tests.cast import Client, Server
from tests.federation.foreign_rooms import ForeignRoom
from tests.services.rooms.elsewhere import MALLORY, OURS, Lair, forked

EVE = "@eve:peer.example"


async def position_of(database: Database, event_id: str) -> tuple[int, int | None, int]:
    row = await database.fetchrow("SELECT event_nid, position, flags FROM events WHERE event_id = $1", event_id)
    assert row is not None
    return row[0], row[1], row[2]


async def lair_of(server: Server) -> tuple[Client, Lair, Database]:
    bob = await server.register("bob")
    lair = await Lair.enter(server, bob)
    await bob.sync()
    return bob, lair, server.application.base.database


async def test_bob_sees_the_whole_state_of_a_room_he_has_joined_elsewhere(server: Server) -> None:
    bob = await server.register("bob")
    await bob.sync()
    lair = await Lair.enter(server, bob)
    room_id = lair.room.room_id
    answer = await bob.sync()
    part = answer.room(room_id)
    assert part["timeline"]["limited"] is True
    assert [event["type"] for event in part["timeline"]["events"]] == ["m.room.member"]
    told = {(event["type"], event["state_key"]) for event in part["state"]["events"]}
    assert told == {event.key for event in lair.room.state_events()} - {("m.room.member", bob.user_id)}
    assert part["summary"]["m.joined_member_count"] == 2
    # The same from the beginning, from memory and from the database.
    for _ in range(2):
        initial = await bob.login()
        shown = (await initial.sync(since=None)).room(room_id)
        assert {(event["type"], event["state_key"]) for event in shown["state"]["events"]} == told
        server.application.base.cache.retire(await lair.live())
    await lair.live()
    await lair.check_memory()


async def test_servers_of_a_room_are_counted_by_their_joined_users(server: Server) -> None:
    _, lair, _ = await lair_of(server)
    live = await lair.live()
    assert live.servers == {"peer.example": 1, OURS: 1}
    lair.room.keys["eve.example"] = lair.room.keys["peer.example"]
    for membership, expected in [("invite", 0), ("join", 1), ("join", 1), ("leave", 0)]:
        sender = MALLORY if membership == "invite" else "@eve:eve.example"
        await lair.arrive(lair.room.member("@eve:eve.example", membership, sender=sender))
        assert live.servers.get("eve.example", 0) == expected
        assert live.is_in("eve.example") is bool(expected)
        await lair.check_memory()


async def test_what_has_soft_failed_is_stored_and_shown_to_nobody(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    tip = list(lair.room.tip)
    quiet = lair.room.build(MALLORY, "m.room.message", {"msgtype": "m.text", "body": "@room hello"})
    told: list[Any] = []
    server.application.base.announcer.on_events(told.extend)
    await lair.arrive(quiet, flags=SOFT_FAILED)
    topic = lair.room.build(MALLORY, "m.room.topic", {"topic": "no"}, "")
    await lair.arrive(topic, flags=REJECTED, self_key=None)
    assert told == []
    for event, flag in [(quiet, SOFT_FAILED), (topic, REJECTED)]:
        nid, position, flags = await position_of(database, event.event_id)
        assert (position, flags) == (None, flag)
        assert nid <= lair.writer.position.current
        await bob.get(("rooms", room_id, "event", event.event_id), expect=404)
    answer = await bob.sync()
    assert "rooms" not in answer
    assert [event["type"] for event in (await bob.messages(room_id))["chunk"]] == ["m.room.member"]
    await bob.state(room_id, "m.room.topic", expect=404)
    assert list((await lair.live()).tip.extremities) == tip
    await lair.check_memory()


async def test_an_outlier_gets_a_place_and_counts_as_new(server: Server, database_dsn: str) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    await bob.send(room_id, "before")
    topic = lair.room.set(MALLORY, "m.room.topic", {"topic": "evil plans"})
    await lair.keep([topic])
    nid, position, flags = await position_of(database, topic.event_id)
    assert (position, flags) == (None, OUTLIER)
    await bob.send(room_id, "in between")
    await bob.sync()
    await lair.arrive(topic, stored_nid=nid)
    number, position, flags = await position_of(database, topic.event_id)
    assert position is not None
    assert (number, flags & OUTLIER) == (nid, 0)
    assert position > nid
    answer = await bob.sync()
    assert answer.event_ids(room_id) == [topic.event_id]
    rows = await database.fetch(
        "SELECT position FROM current_state WHERE event_nid = $1"
        " UNION ALL SELECT position FROM state_changes WHERE event_nid = $1",
        nid,
    )
    assert [row[0] for row in rows] == [position, position]
    await lair.check_memory()
    chunk = (await bob.messages(room_id))["chunk"]
    assert [event["content"].get("body") or event["content"].get("topic") for event in chunk][:3] == [
        "evil plans",
        "in between",
        "before",
    ]
    # A server that starts now gives nobody the same position again.
    assert await server.application.base.events.last(database) == position


async def test_mallory_mentions_bob_in_an_event_that_was_an_outlier(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    content = {"msgtype": "m.text", "body": "hey", "m.mentions": {"user_ids": [bob.user_id]}}
    hey = lair.room.send(MALLORY, content)
    await lair.keep([hey])
    nid, _, _ = await position_of(database, hey.event_id)
    await bob.send(room_id, "I have read everything")
    await lair.arrive(hey, stored_nid=nid)
    counts = (await bob.sync()).room(room_id)["unread_notifications"]
    assert counts == {"highlight_count": 1, "notification_count": 1}
    # Counted anew in the database: by its position, which is not its number.
    server.application.readers.unread.forget_reader(bob.user_id)
    asleep = await bob.login()
    assert (await asleep.sync(since=None)).room(room_id)["unread_notifications"] == counts
    rows = await database.fetch("SELECT position FROM push_actions WHERE user_id = $1", bob.user_id)
    assert [row[0] for row in rows] == [(await position_of(database, hey.event_id))[1]]


async def test_a_state_event_that_loses_is_shown_and_is_not_in_force(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    standing = await lair.arrive(lair.room.set(MALLORY, "m.room.topic", {"topic": "standing"}))
    await bob.sync()
    passed = await lair.arrive(lair.room.set(MALLORY, "m.room.topic", {"topic": "passed over"}), self_key=None)
    assert passed.flags & PASSED_OVER
    assert (await bob.state(room_id, "m.room.topic"))["topic"] == "standing"
    answer = await bob.sync()
    assert answer.event_ids(room_id) == [passed.event_id]
    live = await lair.live()
    assert live.state.get("m.room.topic") is standing
    changes = await database.fetch("SELECT event_nid FROM state_changes WHERE type = 'm.room.topic'")
    assert [row[0] for row in changes] == [standing.event_nid]
    await lair.check_memory()


async def test_a_leave_that_loses_puts_nobody_out(server: Server) -> None:
    bob, lair, _ = await lair_of(server)
    kick = lair.room.member(bob.user_id, "leave", sender=MALLORY)
    await lair.arrive(kick, self_key=None)
    answer = await bob.sync()
    assert answer.event_ids(lair.room.room_id) == [kick.event_id]
    assert "leave" not in answer["rooms"]
    await bob.send(lair.room.room_id, "still here")
    await lair.check_memory()


async def test_resolution_brings_an_old_topic_back(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    old = await lair.arrive(lair.room.set(MALLORY, "m.room.topic", {"topic": "old"}))
    await lair.arrive(lair.room.set(MALLORY, "m.room.topic", {"topic": "new"}))
    before = (await bob.sync())["next_batch"]
    told: list[Resolved] = []
    server.application.base.announcer.on_resolved(told.append)
    word = lair.room.send(MALLORY, "hello")
    stored = await lair.arrive(
        word, changes=[StateChange(("m.room.topic", ""), old)], forked=forked(instead=[old.event_nid])
    )
    ((came,), went) = told[0].came, told[0].went
    assert (came.event_id, came.position, list(went)) == (old.event_id, stored.position, [])
    assert (await bob.state(room_id, "m.room.topic"))["topic"] == "old"
    row = await database.fetchrow("SELECT * FROM forked_states WHERE event_nid = $1", stored.event_nid)
    assert tuple(row) == (stored.event_nid, stored.position - 1, [old.event_nid], [])
    await lair.check_memory()
    # Who syncs over it gets the topic as state, since no event of the timeline tells it (`state_after` says it exactly).
    for cold in (False, True):
        if cold:
            server.application.base.cache.retire(await lair.live())
        answer = await bob.sync(since=before, use_state_after=True)
        assert answer.event_ids(room_id) == [word.event_id]
        after = answer.room(room_id)["state_after"]["events"]
        assert [event["content"] for event in after] == [{"topic": "old"}]
    # As it was in between.
    context = await bob.get(("rooms", room_id, "context", old.event_id), limit=0)
    topics = [event["content"]["topic"] for event in context["state"] if event["type"] == "m.room.topic"]
    assert topics == ["old"]


async def test_resolution_takes_a_key_away_and_the_past_still_has_it(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    topic = await lair.arrive(lair.room.set(MALLORY, "m.room.topic", {"topic": "gone soon"}))
    still = await lair.arrive(lair.room.send(MALLORY, "still there"))
    await lair.arrive(lair.room.send(MALLORY, "gone"), changes=[StateChange(("m.room.topic", ""), None)])
    await bob.state(room_id, "m.room.topic", expect=404)
    await lair.check_memory()
    assert await database.fetchval("SELECT count(*) FROM current_state WHERE type = 'm.room.topic'") == 0
    past = server.application.reading.past
    for cold in (False, True):
        if cold:
            server.application.base.cache.retire(await lair.live())
        live = await lair.live()
        everything = await past.everything(live, still.position)
        assert topic.event_id in {event.event_id for event in everything}
        assert (await past.one(live, still.position, "m.room.topic", "")) is not None
        now = await past.everything(live, None)
        assert topic.event_id not in {event.event_id for event in now}
    # A topic that comes afterwards is not the first one.
    again = await lair.arrive(lair.room.set(MALLORY, "m.room.topic", {"topic": "again"}))
    await lair.check_memory()
    answer = await bob.sync(since=None, filter={"room": {"timeline": {"limit": 1}}})
    assert answer.event_ids(room_id) == [again.event_id]
    assert "m.room.topic" not in {event["type"] for event in answer.room(room_id)["state"]["events"]}
    live = await lair.live()
    assert (await past.one(live, still.position, "m.room.topic", "")) is not None
    found = await past.everything(live, still.position)
    assert topic.event_id in {event.event_id for event in found}


async def test_bob_is_put_out_by_resolution_and_is_told_at_once(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    ban = lair.room.build(MALLORY, "m.room.member", {"membership": "ban"}, bob.user_id)
    await lair.keep([ban])
    (stored,) = await lair.stored([ban.event_id])
    since = (await bob.sync())["next_batch"]
    waiting = asyncio.create_task(bob.sync(since=since, timeout=30_000))
    await asyncio.sleep(0.05)
    await lair.arrive(lair.room.send(MALLORY, "x"), changes=[StateChange(("m.room.member", bob.user_id), stored)])
    answer = await asyncio.wait_for(waiting, 5)
    assert list(answer["rooms"]["leave"]) == [room_id]
    await bob.put(("rooms", room_id, "send", "m.room.message", "1"), {"body": "x", "msgtype": "m.text"}, expect=403)
    live = await lair.live()
    assert live.servers == {"peer.example": 1}
    await lair.check_memory()
    membership = await database.fetchrow(
        "SELECT membership, event_nid FROM memberships WHERE user_id = $1", bob.user_id
    )
    assert tuple(membership) == ("ban", stored.event_nid)


async def test_a_membership_that_resolution_takes_away_leaves_nothing(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    room_id = lair.room.room_id
    await lair.arrive(lair.room.send(MALLORY, "x"), changes=[StateChange(("m.room.member", bob.user_id), None)])
    assert room_id not in (await bob.get("joined_rooms"))["joined_rooms"]
    assert await database.fetchval("SELECT count(*) FROM memberships WHERE user_id = $1", bob.user_id) == 0
    await lair.check_memory()
    assert "rooms" not in await bob.sync()


async def test_events_of_one_append_may_name_each_other(server: Server) -> None:
    _, lair, database = await lair_of(server)
    first = lair.room.set(MALLORY, "m.room.topic", {"topic": "first"})
    second = lair.room.set(MALLORY, "m.room.name", {"name": "second"})
    stored = await lair.arrive(
        first,
        second,
        changes=[StateChange(("org.example.copy", ""), first.event_id)],
        forked=forked(None, [first.event_id]),
    )
    nid, _, _ = await position_of(database, first.event_id)
    row = await database.fetchrow("SELECT instead FROM forked_states WHERE event_nid = $1", stored.event_nid)
    assert row[0] == [nid]
    held = await database.fetchrow("SELECT event_nid, position FROM current_state WHERE type = 'org.example.copy'")
    assert tuple(held) == (nid, stored.position)


async def test_what_came_another_way_meanwhile_makes_the_append_look_again(server: Server) -> None:
    bob, lair, _ = await lair_of(server)
    topic = lair.room.build(MALLORY, "m.room.topic", {"topic": "twice"}, "")
    await lair.keep([topic])
    with pytest.raises(TipMoved):
        await lair.arrive(topic)
    await bob.send(lair.room.room_id, "the room goes on")
    await lair.live()
    await lair.check_memory()


async def test_our_own_state_events_name_their_auth_events(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await alice.set_state(room_id, "m.room.topic", {"topic": "ours"})
    database = server.application.base.database
    rows = await database.fetch(
        "SELECT convert_from(envelope, 'UTF8')::json -> 'auth_events' AS cited,"
        " ARRAY(SELECT event_id FROM events a WHERE a.event_nid = ANY(e.auth_nids) ORDER BY 1) AS named"
        " FROM events e WHERE state_key IS NOT NULL"
    )
    assert len(rows) > 6
    for cited, named in rows:
        assert sorted(json.loads(cited)) == list(named)
    assert await database.fetchval("SELECT count(*) FROM events WHERE state_key IS NULL AND auth_nids IS NOT NULL") == 0


async def test_of_too_many_extremities_the_newest_are_cited(server: Server) -> None:
    bob, lair, database = await lair_of(server)
    base = list(lair.room.tip)
    words = [
        lair.room.build(MALLORY, "m.room.message", {"body": f"{n}", "msgtype": "m.text"}, prev=base) for n in range(25)
    ]
    for word in words:
        lair.room.add(word)
    await lair.arrive(*words)
    event_id = await bob.send(lair.room.room_id, "one answer to all")
    envelope = await database.fetchval(
        "SELECT convert_from(envelope, 'UTF8')::json FROM events WHERE event_id = $1", event_id
    )
    assert json.loads(envelope)["prev_events"] == [word.event_id for word in words[5:]]
    live = await lair.live()
    assert live.tip.extremities == (*(word.event_id for word in words[:5]), event_id)
    await lair.check_memory()


async def test_ids_of_old_rooms_may_have_any_character(server: Server) -> None:
    _, lair, database = await lair_of(server)
    live = await lair.live()
    odd = ("$a b:peer.example", '$"{},\\\u00e9:peer.example')
    lair.room.tip = list(odd)
    hello = lair.room.build(MALLORY, "m.room.message", {"body": "x", "msgtype": "m.text"}, prev=["$a"], depth=9)
    await lair.arrive(hello)
    assert live.tip.extremities == odd
    stored = await database.fetchval("SELECT extremities FROM rooms WHERE room_id = $1", lair.room.room_id)
    assert tuple(stored) == odd
    await lair.check_memory()


async def test_a_commit_nobody_heard_of_is_followed_with_all_that_came_with_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, lair, _ = await lair_of(server)
    room_id = lair.room.room_id
    topic = lair.room.set(MALLORY, "m.room.topic", {"topic": "an outlier"})
    await lair.keep([topic])
    (stored,) = await lair.stored([topic.event_id])
    name = lair.room.build(MALLORY, "m.room.name", {"name": "brought along"}, "")
    await lair.keep([name])
    (brought,) = await lair.stored([name.event_id])
    write = EventWrites.write

    async def unheard(writes: EventWrites, q: Any) -> set[int]:
        monkeypatch.setattr(EventWrites, "write", write)
        await write(writes, q)
        raise Unavailable("the connection broke after the commit")

    monkeypatch.setattr(EventWrites, "write", unheard)
    since = bob.next_batch
    waiting = asyncio.create_task(bob.sync(timeout=30_000))
    with pytest.raises(Unavailable):
        await lair.arrive(topic, stored_nid=stored.event_nid, changes=[StateChange(("m.room.name", ""), brought)])
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.event_ids(room_id) == [topic.event_id]
    assert (await bob.state(room_id, "m.room.name"))["name"] == "brought along"
    assert (await bob.sync(since=since)).event_ids(room_id) == [topic.event_id]
    await lair.check_memory()


async def test_bob_redacts_state_from_before_he_came(server: Server) -> None:
    bob = await server.register("bob")
    room = ForeignRoom.create()
    room.set(MALLORY, "m.room.topic", {"topic": "rude"})
    room.set(MALLORY, "m.room.power_levels", {"users": {MALLORY: 100, bob.user_id: 100}})
    lair = await Lair.enter(server, bob, room)
    live = await lair.live()
    rude = live.state.get("m.room.topic")
    assert rude is not None
    await bob.redact(room.room_id, rude.event_id)
    for cold in (False, True):
        if cold:
            server.application.base.cache.retire(await lair.live())
        assert await bob.state(room.room_id, "m.room.topic") == {}
    polite = await lair.arrive(room.set(MALLORY, "m.room.topic", {"topic": "polite"}))
    assert (await bob.state(room.room_id, "m.room.topic"))["topic"] == "polite"
    # What replaces it shows it as it was before: redacting that one changes the one after it.
    await lair.arrive(room.set(MALLORY, "m.room.topic", {"topic": "last"}))
    await bob.redact(room.room_id, polite.event_id)
    shown = (await bob.messages(room.room_id, limit=2))["chunk"][1]
    assert shown["unsigned"]["prev_content"] == {}


async def test_who_shares_a_room_by_resolution_is_told_in_device_lists(server: Server) -> None:
    bob, lair, _ = await lair_of(server)
    room_id = lair.room.room_id
    eve = lair.room.build(EVE, "m.room.member", {"membership": "join"}, EVE)
    await lair.keep([eve])
    (stored,) = await lair.stored([eve.event_id])
    since = bob.next_batch
    await lair.arrive(lair.room.send(MALLORY, "x"), changes=[StateChange(("m.room.member", EVE), stored)])
    assert EVE in (await bob.sync(since=since))["device_lists"]["changed"]
    await lair.arrive(lair.room.send(MALLORY, "y"), changes=[StateChange(("m.room.member", EVE), None)])
    answer = await bob.sync()
    assert answer["device_lists"]["left"] == [EVE]
    assert EVE not in (await bob.get(("rooms", room_id, "joined_members")))["joined"]
    await lair.check_memory()
