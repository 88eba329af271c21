"""What is told of an event beside itself: its newest edit, its thread, what refers to it."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.services.relations import aggregations
from tests.cast import Client, Server
from tests.clock import FakeClock


def edit_of(event_id: str, body: str, **more: Any) -> dict[str, Any]:
    return {
        "msgtype": "m.text",
        "body": f"* {body}",
        "m.new_content": {"msgtype": "m.text", "body": body},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
        **more,
    }


def reply_to(root: str, body: str) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": body, "m.relates_to": {"rel_type": "m.thread", "event_id": root}}


def reference_to(event_id: str) -> dict[str, Any]:
    return {"body": "see there", "m.relates_to": {"rel_type": "m.reference", "event_id": event_id}}


async def relations_of(client: Client, room_id: str, event_id: str) -> dict[str, Any]:
    """The same from wherever a client may meet the event."""
    event = await client.get(("rooms", room_id, "event", event_id))
    relations: dict[str, Any] = event["unsigned"].get("m.relations", {})
    page = await client.messages(room_id, limit=1000)
    context = await client.get(("rooms", room_id, "context", event_id))
    fresh = await client.sync(since=None, filter={"room": {"timeline": {"limit": 1000}}})
    for found in (*page["chunk"], context["event"], *fresh.timeline(room_id), *fresh.timeline(room_id, "leave")):
        if found["event_id"] == event_id:
            assert ids_in(found["unsigned"].get("m.relations", {})) == ids_in(relations)
    return relations


def ids_in(relations: dict[str, Any]) -> dict[str, Any]:
    """What it is about, without ages and rooms."""
    told: dict[str, Any] = {}
    if "m.replace" in relations:
        told["edit"] = relations["m.replace"]["event_id"]
    if "m.thread" in relations:
        latest = relations["m.thread"]["latest_event"]
        counts = (relations["m.thread"]["count"], relations["m.thread"]["current_user_participated"])
        told["thread"] = (latest["event_id"], ids_in(latest["unsigned"].get("m.relations", {})), counts)
    if "m.reference" in relations:
        told["references"] = [each["event_id"] for each in relations["m.reference"]["chunk"]]
    return told


async def two_in_a_room(server: Server, **body: Any) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", **body)
    await bob.join(room_id)
    return alice, bob, room_id


async def test_the_newest_edit_comes_with_the_event(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Tee at five")
    await alice.send(room_id, edit_of(said, "Tea at fife"))
    clock.advance(seconds=1)
    newest = await alice.send(room_id, edit_of(said, "Tea at five"))
    edit = (await relations_of(bob, room_id, said))["m.replace"]
    assert edit["event_id"] == newest
    assert edit["content"]["m.new_content"]["body"] == "Tea at five"
    assert (edit["sender"], edit["room_id"]) == (alice.user_id, room_id)
    # "The `content` of the original event is left intact."
    assert (await bob.get(("rooms", room_id, "event", said)))["content"]["body"] == "Tee at five"


async def test_only_valid_edits_count(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Mine")
    valid = await alice.send(room_id, edit_of(said, "Still mine"))
    clock.advance(seconds=1)
    await bob.send(room_id, edit_of(said, "Bob's"))
    await alice.send(room_id, edit_of(said, "A sticker"), "m.sticker")
    without = edit_of(said, "without")
    del without["m.new_content"]
    await alice.send(room_id, without)
    edit_of_edit = await alice.send(room_id, edit_of(valid, "An edit of an edit"))
    assert ids_in(await relations_of(bob, room_id, said)) == {"edit": valid}
    assert await relations_of(bob, room_id, valid) == {}
    # Somewhere deep in the content is not where a replacement is.
    deep = edit_of(edit_of_edit, "deep")
    deep["m.relates_to"]["event_id"] = other = await alice.send(room_id, "Another")
    deep["x"] = {"m.new_content": deep.pop("m.new_content")}
    await alice.send(room_id, deep)
    assert await relations_of(bob, room_id, other) == {}


async def test_state_events_cannot_be_edited(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    topic = (await alice.put(("rooms", room_id, "state", "m.room.topic"), {"topic": "Cake"}))["event_id"]
    await alice.send(room_id, edit_of(topic, "Tea"), "m.room.topic")
    await alice.send(room_id, reference_to(topic))
    assert await relations_of(bob, room_id, topic) == {}


async def test_a_redacted_edit_brings_back_the_one_before(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "one")
    first = await alice.send(room_id, edit_of(said, "two"))
    clock.advance(seconds=1)
    second = await alice.send(room_id, edit_of(said, "three"))
    await alice.redact(room_id, second)
    assert ids_in(await relations_of(bob, room_id, said)) == {"edit": first}
    await alice.redact(room_id, said)
    assert await relations_of(bob, room_id, said) == {}


async def test_encrypted_edits_count_without_being_read(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    secret = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgA", "session_id": "s"}
    said = await alice.send(room_id, secret, "m.room.encrypted")
    relation = {"rel_type": "m.replace", "event_id": said}
    edit = await alice.send(room_id, {**secret, "m.relates_to": relation}, "m.room.encrypted")
    assert ids_in(await relations_of(bob, room_id, said)) == {"edit": edit}


async def test_a_thread_is_summed_up_at_its_root(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    carol = await server.register("carol")
    await carol.join(room_id)
    root = await alice.send(room_id, "Which cake?")
    for number in range(3):
        latest = await bob.send(room_id, reply_to(root, f"cake {number}"))
    edit = await bob.send(room_id, edit_of(latest, "the best cake"))
    reference = await carol.send(room_id, reference_to(latest))
    newest = (latest, {"edit": edit, "references": [reference]})
    assert ids_in(await relations_of(carol, room_id, root)) == {"thread": (*newest, (3, False))}
    assert ids_in(await relations_of(bob, room_id, root)) == {"thread": (*newest, (3, True))}
    # Who asked takes part.
    assert ids_in(await relations_of(alice, room_id, root)) == {"thread": (*newest, (3, True))}


async def test_redacted_replies_leave_the_thread(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    first = await bob.send(room_id, reply_to(root, "cheese"))
    second = await bob.send(room_id, reply_to(root, "nuts"))
    await bob.redact(room_id, second)
    assert ids_in(await relations_of(bob, room_id, root)) == {"thread": (first, {}, (1, True))}
    await alice.redact(room_id, root)
    assert ids_in(await relations_of(bob, room_id, root)) == {"thread": (first, {}, (1, True))}
    await bob.redact(room_id, first)
    assert await relations_of(bob, room_id, root) == {}


async def test_ignored_users_count_for_nothing(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    mallory = await server.register("mallory")
    await mallory.join(room_id)
    root = await alice.send(room_id, "Which cake?")
    kept = await alice.send(room_id, reply_to(root, "nuts"))
    await mallory.send(room_id, reply_to(root, "poison"))
    await mallory.send(room_id, reference_to(root))
    ignored = {"ignored_users": {mallory.user_id: {}}}
    await bob.put(("user", bob.user_id, "account_data", "m.ignored_user_list"), ignored)
    assert ids_in(await relations_of(bob, room_id, root)) == {"thread": (kept, {}, (1, False))}
    assert (await relations_of(alice, room_id, root))["m.thread"]["count"] == 2


async def test_who_left_is_told_nothing_of_what_came_later(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    seen = await alice.send(room_id, reply_to(root, "nuts"))
    await bob.post(("rooms", room_id, "leave"))
    await alice.send(room_id, reply_to(root, "not for Bob"))
    await alice.send(room_id, edit_of(root, "Which cake, now that Bob is gone?"))
    assert ids_in(await relations_of(bob, room_id, root)) == {"thread": (seen, {}, (1, False))}
    left = await bob.sync(since=None, filter={"room": {"include_leave": True}})
    [event] = [event for event in left.timeline(room_id, "leave") if event["event_id"] == root]
    assert ids_in(event["unsigned"]["m.relations"]) == {"thread": (seen, {}, (1, False))}


async def test_what_was_said_while_one_was_away_stays_hidden(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await alice.put(("rooms", room_id, "state", "m.room.history_visibility"), {"history_visibility": "joined"})
    root = await alice.send(room_id, "Which cake?")
    first = await alice.send(room_id, reply_to(root, "nuts"))
    edit = await alice.send(room_id, edit_of(root, "Which one?"))
    await bob.post(("rooms", room_id, "leave"))
    clock.advance(seconds=1)
    await alice.send(room_id, reply_to(root, "not for Bob"))
    await alice.send(room_id, edit_of(root, "Bob?"))
    await alice.send(room_id, reference_to(root))
    assert ids_in(await relations_of(bob, room_id, root)) == {"edit": edit, "thread": (first, {}, (1, False))}
    await bob.join(room_id)
    assert ids_in(await relations_of(bob, room_id, root)) == {"edit": edit, "thread": (first, {}, (1, False))}
    last = await alice.send(room_id, reply_to(root, "cheese"))
    assert ids_in(await relations_of(bob, room_id, root)) == {"edit": edit, "thread": (last, {}, (2, False))}


async def test_erased_users_are_not_quoted_to_those_who_came_later(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    mallory = await server.register("mallory")
    await mallory.join(room_id)
    root = await alice.send(room_id, "Which cake?")
    said = await mallory.send(room_id, "Mine")
    edit = await mallory.send(room_id, edit_of(said, "All mine"))
    reply = await mallory.send(room_id, reply_to(root, "poison"))
    await mallory.post("account/deactivate", {"auth": mallory.password_auth(), "erase": True})
    carol = await server.register("carol")
    await carol.join(room_id)
    told = await relations_of(carol, room_id, root)
    assert ids_in(told) == {"thread": (reply, {}, (1, False))}
    assert told["m.thread"]["latest_event"]["content"] == {}
    assert await relations_of(carol, room_id, said) == {}
    # Who was there then has it anyway.
    assert ids_in(await relations_of(bob, room_id, said)) == {"edit": edit}
    assert (await relations_of(bob, room_id, root))["m.thread"]["latest_event"]["content"]["body"] == "poison"


async def test_events_of_another_room_relate_to_nothing(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    elsewhere = await alice.create_room()
    said = await alice.send(room_id, "here")
    body = {"errcode": "M_UNKNOWN"}
    answer = await alice.put(("rooms", elsewhere, "send", "m.room.message", "t"), edit_of(said, "there"), expect=400)
    assert answer["errcode"] == body["errcode"]
    assert await relations_of(bob, room_id, said) == {}


async def test_what_comes_with_its_parent_is_not_told_twice(server: Server) -> None:
    """Between two syncs with all events the client sums up itself ("when the section has a `limited` value of `true`")."""
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync(since=None)
    root = await alice.send(room_id, "Which cake?")
    await alice.send(room_id, reply_to(root, "nuts"))
    answer = await bob.sync(filter={"room": {"timeline": {"limit": 10}}})
    assert all("m.relations" not in event["unsigned"] for event in answer.timeline(room_id))
    answer = await alice.sync(since=None, filter={"room": {"timeline": {"limit": 2}}})
    assert answer.room(room_id)["timeline"]["limited"]
    [event] = [event for event in answer.timeline(room_id) if event["event_id"] == root]
    assert event["unsigned"]["m.relations"]["m.thread"]["count"] == 1


async def test_sliding_windows_tell_the_same(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    latest = await alice.send(room_id, reply_to(root, "nuts"))
    body = {"lists": {"all": {"ranges": [[0, 9]], "timeline_limit": 5, "required_state": []}}}
    answer = await bob.post("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", body)
    [event] = [event for event in answer["rooms"][room_id]["timeline"] if event["event_id"] == root]
    assert ids_in(event["unsigned"]["m.relations"]) == {"thread": (latest, {}, (1, False))}


async def test_statements_are_asked_only_where_something_relates(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await alice.sync(since=None)
    await bob.sync(since=None)
    said = await alice.send(room_id, "one")
    database = server.application.base.database

    async def statements() -> int:
        before = database.statements
        await bob.messages(room_id)
        return database.statements - before

    await statements()
    plain = await statements()
    # Reactions are not aggregated: they cost nothing.
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "👍"}}
    await alice.send(room_id, reaction, "m.reaction")
    assert await statements() == plain
    await alice.send(room_id, edit_of(said, "two"))
    assert await statements() == plain + 1


async def test_one_statement_serves_all_rooms_of_a_sync(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    rooms = [room_id, *[await alice.create_room(preset="public_chat") for _ in range(3)]]
    for each in rooms[1:]:
        await bob.join(each)
    # Timelines of three have nothing but messages, before and after.
    for each in rooms:
        await alice.send(each, "one")
        await alice.send(each, "two")
    roots = {each: await alice.send(each, "Which cake?") for each in rooms}
    database = server.application.base.database
    wanted = {"room": {"timeline": {"limit": 3}}}
    body = {"lists": {"all": {"ranges": [[0, 9]], "timeline_limit": 3, "required_state": []}}}

    async def statements() -> tuple[int, int]:
        before = database.statements
        await bob.sync(since=None, filter=wanted)
        between = database.statements
        await bob.post("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", body)
        return between - before, database.statements - between

    await statements()
    plain = await statements()
    for each, root in roots.items():
        await alice.send(each, reply_to(root, "nuts"))
    assert await statements() == (plain[0] + 1, plain[1] + 1)


async def test_a_delivery_asks_nothing_of_relations(server: Server) -> None:
    """The short way of sync: a reply and an edit reach a waiting reader from memory, like any message."""
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    await bob.sync(since=None)
    await bob.sync()
    database = server.application.base.database
    for content in (reply_to(root, "nuts"), edit_of(root, "Which one?"), reference_to(root)):
        event_id = await alice.send(room_id, content)
        before = database.statements
        assert (await bob.sync()).event_ids(room_id) == [event_id]
        assert database.statements == before


async def test_one_answer_asks_for_so_many_and_no_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    roots = [await alice.send(room_id, f"Thread {number}") for number in range(3)]
    for root in roots:
        await alice.send(room_id, reply_to(root, "nuts"))
    monkeypatch.setattr(aggregations, "MAX_PARENTS", 2)
    page = await bob.messages(room_id, limit=50)
    told = {event["event_id"] for event in page["chunk"] if "m.relations" in event["unsigned"]}
    assert told == set(roots[1:])
