"""What is taken back is gone: from events, from memory, and from what other events say of it (test_redacted_content.py: what
moderators see for a while).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeserver.storage.database import Queries
from homeserver.storage.event_writes import EventWrites
from homeserver.storage.rooms import Rooms
from tests.cast import Client, Server

VERSIONS = [str(number) for number in range(1, 13)]


async def event(client: Client, room_id: str, event_id: str, expect: Any = 200) -> dict[str, Any]:
    found: dict[str, Any] = await client.get(("rooms", room_id, "event", event_id), expect=expect)
    return found


async def test_a_redaction_of_an_old_client_has_no_transaction(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "a secret")
    redaction = await alice.post(("rooms", room_id, "redact", event_id), {"reason": "oops"})
    assert (await event(alice, room_id, event_id))["unsigned"]["redacted_because"]["event_id"] == redaction["event_id"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_redacted_message_says_why(server: Server, version: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(room_version=version)
    event_id = await alice.send(room_id, "a secret")
    redaction_id = await alice.redact(room_id, event_id, "oops")
    redacted = await event(alice, room_id, event_id)
    assert redacted["content"] == {}
    because = redacted["unsigned"]["redacted_because"]
    assert because["event_id"] == redaction_id
    assert because["content"]["reason"] == "oops"
    # Both places, for clients older and newer than room version 11.
    redaction = await event(alice, room_id, redaction_id)
    assert redaction["redacts"] == redaction["content"]["redacts"] == event_id
    stored = await server.application.base.database.fetchrow(
        "SELECT body, envelope, flags FROM events WHERE event_id = $1", event_id
    )
    assert b"a secret" not in stored["body"] + stored["envelope"]


async def test_messages_show_the_redacted_form_at_once(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "a secret")
    await alice.sync()
    await alice.redact(room_id, event_id)
    for answer in (await alice.messages(room_id), await alice.sync(since=None)):
        assert "a secret" not in str(answer)
        assert event_id in str(answer)


async def test_a_sync_that_was_away_does_not_get_the_old_content(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    event_id = await alice.send(room_id, "a secret")
    await alice.redact(room_id, event_id)
    answer = await bob.sync()
    assert event_id in answer.event_ids(room_id)
    assert "a secret" not in str(answer)


async def test_the_next_state_event_forgets_what_was_redacted(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first = (await alice.set_state(room_id, "m.room.topic", {"topic": "a secret"}))["event_id"]
    second = (await alice.set_state(room_id, "m.room.topic", {"topic": "harmless"}))["event_id"]
    await alice.redact(room_id, first)
    assert "a secret" not in str(await event(alice, room_id, second))
    assert "a secret" not in str(await alice.sync())
    assert (await event(alice, room_id, second))["content"] == {"topic": "harmless"}


async def test_redacted_state_stays_as_empty_state(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    topic = (await alice.set_state(room_id, "m.room.topic", {"topic": "a secret"}))["event_id"]
    await alice.redact(room_id, topic)
    assert await alice.state(room_id, "m.room.topic") == {}
    again = (await alice.set_state(room_id, "m.room.topic", {"topic": "new"}))["event_id"]
    assert "a secret" not in str(await event(alice, room_id, again))


async def test_mallory_redacts_only_her_own_words(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    hers = await alice.send(room_id, "mine")
    path = ("rooms", room_id, "redact", hers, "t")
    await mallory.put(path, {}, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    await mallory.put(path, {}, expect=(403, "M_FORBIDDEN"))
    by_send = ("rooms", room_id, "send", "m.room.redaction", "t")
    await mallory.put(by_send, {"redacts": hers}, expect=(403, "M_FORBIDDEN"))
    own = await mallory.send(room_id, "spam")
    await mallory.redact(room_id, own)
    spam = await mallory.send(room_id, "more spam")
    await alice.redact(room_id, spam)
    assert (await event(alice, room_id, hers))["content"]["body"] == "mine"


async def test_events_of_other_rooms_are_not_there(server: Server) -> None:
    alice = await server.register("alice")
    room_id, other = await alice.create_room(), await alice.create_room()
    elsewhere = await alice.send(other, "hello")
    for event_id in (elsewhere, "$unknown"):
        await alice.put(("rooms", room_id, "redact", event_id, "t"), {}, expect=(400, "M_INVALID_PARAM"))
    await alice.put(("rooms", room_id, "redact", "nonsense", "t"), {}, expect=(400, "M_INVALID_PARAM"))
    assert (await event(alice, other, elsewhere))["content"]["body"] == "hello"


async def test_what_the_room_is_cannot_be_redacted(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    acl = (await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"]}))["event_id"]
    create = next(each for each in await alice.get(("rooms", room_id, "state")) if each["type"] == "m.room.create")
    for event_id in (acl, create["event_id"]):
        await alice.put(("rooms", room_id, "redact", event_id, "t"), {}, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("version", ["10", "11"])
async def test_a_redaction_may_be_sent_like_any_event(server: Server, version: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(room_version=version)
    event_id = await alice.send(room_id, "a secret")
    path = ("rooms", room_id, "send", "m.room.redaction", "t")
    first = await alice.put(path, {"redacts": event_id, "reason": "oops"})
    assert await alice.put(path, {"redacts": event_id, "reason": "oops"}) == first
    assert (await event(alice, room_id, event_id))["content"] == {}
    await alice.put(("rooms", room_id, "send", "m.room.redaction", "u"), {}, expect=(400, "M_MISSING_PARAM"))
    await alice.put(("rooms", room_id, "send", "m.room.redaction", "u"), {"redacts": 5}, expect=(400, "M_BAD_JSON"))


async def test_redacting_twice_keeps_the_first_reason(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "a secret")
    path = ("rooms", room_id, "redact", event_id, "t")
    first = await alice.put(path, {"reason": "first"})
    assert await alice.put(path, {"reason": "first"}) == first
    second = await alice.redact(room_id, event_id, "second")
    assert second != first["event_id"]
    because = (await event(alice, room_id, event_id))["unsigned"]["redacted_because"]
    assert because["content"]["reason"] == "first"
    await alice.put(("rooms", room_id, "redact", event_id, "z"), {"reason": 5}, expect=(400, "M_BAD_JSON"))


async def test_a_member_event_keeps_its_membership(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    members = await alice.get(("rooms", room_id, "members"))
    joined = next(each for each in members["chunk"] if each["state_key"] == bob.user_id)
    await alice.redact(room_id, joined["event_id"])
    assert await alice.state(room_id, "m.room.member", bob.user_id) == {"membership": "join"}
    await bob.send(room_id, "still here")


async def test_a_redaction_costs_few_statements(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "a secret")
    database = server.application.base.database
    before = database.statements
    await alice.redact(room_id, event_id)
    assert database.statements - before <= 4


async def test_state_that_replaces_what_is_being_redacted_does_not_repeat_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new topic is built, but not stored yet, when the old one is redacted."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first = (await alice.set_state(room_id, "m.room.topic", {"topic": "a secret"}))["event_id"]
    stored = asyncio.Event()
    write = EventWrites.write

    async def slow_write(writes: EventWrites, q: Queries) -> set[int]:
        await stored.wait()
        return await write(writes, q)

    monkeypatch.setattr(EventWrites, "write", slow_write)
    changing = asyncio.create_task(alice.set_state(room_id, "m.room.topic", {"topic": "harmless"}))
    room = await server.application.base.cache.get(room_id)
    while not room.pending:
        await asyncio.sleep(0.01)
    redacting = asyncio.create_task(alice.redact(room_id, first))
    await asyncio.sleep(0.05)
    stored.set()
    second = (await changing)["event_id"]
    await redacting
    assert "a secret" not in str(await event(alice, room_id, second))


async def test_state_that_changes_while_a_redaction_looks_at_it_sends_it_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first = (await alice.set_state(room_id, "m.room.topic", {"topic": "a secret"}))["event_id"]
    look = Rooms.next_state_change

    async def slow_look(rooms: Rooms, *asked: Any) -> Any:
        found = await look(rooms, *asked)
        monkeypatch.undo()
        await alice.set_state(room_id, "m.room.topic", {"topic": "harmless"})
        return found

    monkeypatch.setattr(Rooms, "next_state_change", slow_look)
    await alice.put(("rooms", room_id, "redact", first, "txn"), {}, expect=503)
    await alice.put(("rooms", room_id, "redact", first, "txn"), {})
    assert "a secret" not in str(await alice.messages(room_id, limit=50))


async def test_what_relates_to_a_message_is_redacted_with_it(server: Server) -> None:
    """MSC3912."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    said = await bob.send(room_id, "mine")

    def related(rel_type: str, event_id: str = said) -> dict[str, Any]:
        relation = {"rel_type": rel_type, "event_id": event_id}
        return {"body": "x", "m.new_content": {"body": "x"}, "m.relates_to": relation}

    edit = await bob.send(room_id, related("m.replace"))
    of_edit = await bob.send(room_id, related("m.reference", edit))
    no_edit = await alice.send(room_id, related("m.replace"))
    reply, of_alice = await bob.send(room_id, related("m.thread")), await alice.send(room_id, related("m.thread"))

    async def redacted() -> set[str]:
        events = (await alice.messages(room_id, limit=50))["chunk"]
        return {event["event_id"] for event in events if "redacted_because" in event["unsigned"]}

    path = ("rooms", room_id, "redact", said, "t")
    body = {"reason": "typo", "org.matrix.msc3912.with_relations": ["m.replace"]}
    redaction = (await bob.put(path, body))["event_id"]
    assert await redacted() == {said, edit}
    assert (await bob.get(("rooms", room_id, "event", redaction)))["content"]["reason"] == "typo"
    assert "with_relations" not in str(await alice.messages(room_id, limit=50))
    assert (await bob.put(path, body))["event_id"] == redaction
    # Bob has not the power over what Alice said, but she has over everything. An edit of somebody else is none.
    await bob.put((*path[:-1], "t2"), {"with_rel_types": ["*"]})
    assert await redacted() == {said, edit, reply}
    await alice.put((*path[:-1], "t3"), {"with_rel_types": ["*"]})
    assert await redacted() == {said, edit, reply, of_alice}
    assert no_edit not in await redacted()
    assert of_edit not in await redacted()


@pytest.mark.parametrize("kinds", ["m.thread", [1], {"m.thread": True}])
async def test_kinds_to_redact_are_a_list_of_texts(server: Server, kinds: object) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    said = await alice.send(room_id, "mine")
    body = {"with_rel_types": kinds}
    await alice.put(("rooms", room_id, "redact", said, "t"), body, expect=(400, "M_BAD_JSON"))
    assert (await alice.get(("rooms", room_id, "event", said)))["content"]["body"] == "mine"


async def test_nothing_relates_by_what_cannot_be_stored(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    said = await alice.send(room_id, "mine")
    for key in ("with_rel_types", "org.matrix.msc3912.with_relations"):
        await alice.put(("rooms", room_id, "redact", said, key), {key: ["m.thr\0ead", "x" * 10_000]})
