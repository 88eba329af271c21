"""GET /sync: timelines, gaps, and state at their start."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.services.rooms.room_cache import RoomCache
from tests.cast import Client, Server, SyncAnswer


def forget_rooms(server: Server) -> None:
    """Take all rooms out of memory, as after a restart, so that the database answers."""
    cache: RoomCache = server.application.base.cache
    for room_id in list(cache._live):
        cache.retire(cache._live[room_id])


@pytest.fixture(params=["in memory", "from the database"])
def cold(request: pytest.FixtureRequest) -> bool:
    """Every story is told twice: rooms are in memory, or are not."""
    return bool(request.param == "from the database")


def state_of(answer: SyncAnswer, room_id: str, key: str = "state", kind: str = "join") -> set[tuple[str, str]]:
    events = answer.room(room_id, kind).get(key, {}).get("events", [])
    return {(event["type"], event["state_key"]) for event in events}


def limit(count: int, **more: Any) -> dict[str, Any]:
    return {"room": {"timeline": {"limit": count}, **more}}


async def two_in_a_room(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.join(room_id)
    return alice, bob, room_id


async def test_a_long_room_is_limited_and_brings_its_state(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    sent = [await alice.send(room_id, f"message {number}") for number in range(12)]
    if cold:
        forget_rooms(server)
    answer = await bob.sync(filter=limit(5))
    assert answer.event_ids(room_id) == sent[-5:]
    room = answer.room(room_id)
    assert room["timeline"]["limited"] is True
    types = state_of(answer, room_id)
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", alice.user_id)} <= types
    assert ("m.room.member", bob.user_id) in types
    earlier = await bob.messages(room_id, **{"from": room["timeline"]["prev_batch"], "limit": 3})
    assert [event["event_id"] for event in earlier["chunk"]] == [sent[6], sent[5], sent[4]]


async def test_state_is_that_of_the_start_of_the_timeline(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await alice.set_state(room_id, "m.room.topic", {"topic": "old"})
    await alice.send(room_id, "one")
    await alice.set_state(room_id, "m.room.topic", {"topic": "new"})
    await alice.send(room_id, "two")
    if cold:
        forget_rooms(server)
    answer = await bob.sync(filter=limit(2))
    topics = [e["content"]["topic"] for e in answer.room(room_id)["state"]["events"] if e["type"] == "m.room.topic"]
    assert topics == ["old"]
    assert [event["type"] for event in answer.timeline(room_id)] == ["m.room.topic", "m.room.message"]


async def test_state_that_began_within_the_timeline_is_not_in_state(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await alice.set_state(room_id, "m.room.topic", {"topic": "first"})
    await alice.send(room_id, "one")
    if cold:
        forget_rooms(server)
    answer = await bob.sync(filter=limit(2))
    assert ("m.room.topic", "") not in state_of(answer, room_id)


async def test_a_gap_brings_the_changes_of_state_within_it(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    await alice.set_state(room_id, "m.room.topic", {"topic": "lost in the gap"})
    await alice.set_state(room_id, "m.room.topic", {"topic": "found after the gap"})
    sent = [await alice.send(room_id, f"message {number}") for number in range(6)]
    if cold:
        forget_rooms(server)
    answer = await bob.sync(filter=limit(3))
    assert answer.event_ids(room_id) == sent[-3:]
    assert answer.room(room_id)["timeline"]["limited"] is True
    (topic,) = answer.room(room_id)["state"]["events"]
    assert topic["content"] == {"topic": "found after the gap"}


async def test_without_a_gap_there_is_no_state(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    await alice.set_state(room_id, "m.room.topic", {"topic": "seen in the timeline"})
    if cold:
        forget_rooms(server)
    answer = await bob.sync()
    assert [event["type"] for event in answer.timeline(room_id)] == ["m.room.topic"]
    assert answer.room(room_id)["timeline"]["limited"] is False
    assert answer.room(room_id)["state"] == {"events": []}


@pytest.mark.parametrize(
    ("parameter", "key"),
    [
        ("use_state_after", "state_after"),
        ("org.matrix.msc4222.use_state_after", "org.matrix.msc4222.state_after"),
    ],
)
async def test_state_after_is_that_of_the_end_of_the_timeline(
    server: Server, parameter: str, key: str, cold: bool
) -> None:  # fmt: skip
    alice, bob, room_id = await two_in_a_room(server)
    asked: dict[str, Any] = {parameter: True}
    answer = await bob.sync(**asked)
    assert ("m.room.name", "") in state_of(answer, room_id, key)
    await alice.set_state(room_id, "m.room.topic", {"topic": "new"})
    await alice.send(room_id, "hello")
    if cold:
        forget_rooms(server)
    answer = await bob.sync(**asked)
    assert state_of(answer, room_id, key) == {("m.room.topic", "")}
    assert "state" not in answer.room(room_id)
    await alice.send(room_id, "hello again")
    answer = await bob.sync(**asked)
    assert answer.room(room_id)[key] == {"events": []}


async def test_full_state_brings_every_room_with_all_its_state(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    quiet = await alice.create_room(name="Quiet", topic="Hush")
    await alice.sync()
    sent = await bob.send(room_id, "hello")
    if cold:
        forget_rooms(server)
    answer = await alice.sync(full_state=True, timeout=30_000)
    assert answer.event_ids(room_id) == [sent]
    assert ("m.room.name", "") in state_of(answer, room_id)
    assert answer.event_ids(quiet) == []
    assert {("m.room.topic", ""), ("m.room.member", alice.user_id)} <= state_of(answer, quiet)


async def test_a_redacted_message_is_redacted_to_late_readers(server: Server, cold: bool) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    event_id = await alice.send(room_id, "secret")
    await alice.redact(room_id, event_id)
    if cold:
        forget_rooms(server)
    answer = await bob.sync()
    redacted = next(event for event in answer.timeline(room_id) if event["event_id"] == event_id)
    assert redacted["content"] == {}
    assert redacted["unsigned"]["redacted_because"]["type"] == "m.room.redaction"


async def test_alice_finds_her_transaction_id_on_the_device_that_sent(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    phone = await alice.login()
    await alice.sync()
    await phone.sync()
    await bob.sync()
    await alice.send(room_id, "hello", txn_id="mine")
    for client, expected in ((bob, None), (alice, "mine"), (phone, None)):
        (event,) = (await client.sync()).timeline(room_id)
        assert event["unsigned"].get("transaction_id") == expected


async def test_the_same_token_gives_the_same_events_again(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    before = bob.next_batch
    sent = await alice.send(room_id, "hello")
    lazily = {"room": {"state": {"lazy_load_members": True}}}
    first = await bob.sync(since=before, filter=lazily)
    second = await bob.sync(since=before, filter=lazily)
    assert first.event_ids(room_id) == second.event_ids(room_id) == [sent]
    assert state_of(first, room_id) == state_of(second, room_id) == {("m.room.member", alice.user_id)}


@pytest.mark.parametrize("since", ["nonsense", "s1_2", "t5", "s9999999999999999999_0_0_0_0_0_0"])
async def test_a_token_that_is_none_is_refused(server: Server, since: str) -> None:
    alice = await server.register("alice")
    await alice.get("sync", since=since, expect=(400, "M_INVALID_PARAM"))


async def test_a_token_from_the_future_counts_as_the_beginning(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    answer = await alice.sync(since="s999999_0_0_0_0_0_0")
    assert answer.event_ids(room_id)


async def test_a_timeline_reaches_across_what_is_hidden(server: Server, cold: bool) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    carol = await server.register("carol")
    hidden = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    room_id = await alice.create_room(preset="public_chat", initial_state=[hidden])
    await bob.join(room_id)
    await alice.send(room_id, "for Bob")
    await bob.sync()
    await bob.leave(room_id)
    await alice.set_state(room_id, "m.room.topic", {"topic": "not for Bob"})
    await carol.join(room_id)
    for number in range(20):
        await alice.send(room_id, f"not for Bob {number}")
    await alice.set_state(room_id, "m.room.topic", {"topic": "for Bob again"})
    await bob.join(room_id)
    if cold:
        forget_rooms(server)
    answer = await bob.sync()
    seen = [(event["type"], event["sender"]) for event in answer.timeline(room_id)[-5:]]
    assert seen == [
        ("m.room.message", alice.user_id),
        ("m.room.member", bob.user_id),
        ("m.room.member", carol.user_id),
        ("m.room.topic", alice.user_id),
        ("m.room.member", bob.user_id),
    ]
    said = [event["content"].get("body") for event in answer.timeline(room_id)]
    assert [body for body in said if body is not None] == ["for Bob"]
