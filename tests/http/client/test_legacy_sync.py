"""GET /events and /initialSync: what clients of before /sync ask, and previews of rooms."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from tests.cast import Client, Server

READABLE = {
    "type": "m.room.history_visibility",
    "state_key": "",
    "content": {"history_visibility": "world_readable"},
}


async def follow(client: Client, start: str, **query: Any) -> dict[str, Any]:
    """GET /events where there may be more than room events: the schema of the specification has only those, its prose
    ("Client Config") and the clients that use the endpoint know all kinds.
    """
    answer = await client.raw("GET", "events", query={"from": start, **query}, check=False)
    assert answer.status == 200
    body: dict[str, Any] = orjson.loads(answer.body)
    return body


async def two_in_a_room(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", visibility="public", name="Kitchen")
    await bob.join(room_id)
    return alice, bob, room_id


async def test_the_first_answer_has_rooms_with_state_and_messages(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    sent = await alice.send(room_id, "hello")
    invited = await alice.create_room(invite=[bob.user_id])
    await bob.post(("rooms", room_id, "receipt", "m.read", sent))
    body = await bob.get("initialSync", limit=2)
    rooms = {room["room_id"]: room for room in body["rooms"]}
    room = rooms[room_id]
    assert (room["membership"], room["visibility"]) == ("join", "public")
    assert [event["event_id"] for event in room["messages"]["chunk"]][-1] == sent
    assert len(room["messages"]["chunk"]) == 2
    assert "m.room.name" in {event["type"] for event in room["state"]}
    assert rooms[invited]["membership"] == "invite"
    assert body["receipts"][0]["room_id"] == room_id
    nothing = await bob.get("initialSync", limit=0)
    assert all(room["messages"]["chunk"] == [] for room in nothing["rooms"] if room["membership"] == "join")


async def test_the_first_answer_has_left_rooms_when_asked_for(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.leave(room_id)
    await alice.set_state(room_id, "m.room.topic", {"topic": "not for Bob"})
    assert (await bob.get("initialSync"))["rooms"] == []
    (room,) = (await bob.get("initialSync", archived=True))["rooms"]
    assert room["membership"] == "leave"
    assert "m.room.topic" not in {event["type"] for event in room["state"]}


async def test_the_event_stream_goes_on_where_the_first_answer_ended(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    end = (await bob.get("initialSync"))["end"]
    stream: dict[str, Any] = await bob.get("events", **{"from": end})
    assert stream["chunk"] == []
    waiting = asyncio.create_task(bob.get("events", **{"from": stream["end"], "timeout": 30_000}))
    await asyncio.sleep(0.05)
    sent = await alice.send(room_id, "hello")
    stream = await waiting
    assert [(event["event_id"], event["room_id"]) for event in stream["chunk"]] == [(sent, room_id)]
    invited = await alice.create_room(invite=[bob.user_id])
    (event,) = (await bob.get("events", **{"from": stream["end"]}))["chunk"]
    assert (event["room_id"], event["content"]["membership"]) == (invited, "invite")
    await bob.get("events", **{"from": "nonsense"}, expect=(400, "M_INVALID_PARAM"))


async def test_an_empty_place_is_where_the_stream_begins(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    begun = await follow(bob, "")
    sent = await alice.send(room_id, "hello")
    assert sent in {event.get("event_id") for event in (await follow(bob, begun["end"]))["chunk"]}


async def test_the_event_stream_takes_no_messages_to_the_device(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    await alice.put(("sendToDevice", "m.x", "t1"), {"messages": {bob.user_id: {bob.device_id: {"n": 1}}}})
    sent = await alice.send(room_id, "hello")
    before: dict[str, Any] = {"from": bob.next_batch}
    stream = await bob.get("events", **before)
    assert [event["event_id"] for event in stream["chunk"]] == [sent]
    await bob.get("events", **{"from": stream["end"]})
    assert [event["content"] for event in (await bob.sync()).to_device()] == [{"n": 1}]


async def test_a_stranger_follows_a_world_readable_room(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat", initial_state=[READABLE])
    look = await mallory.get(("rooms", room_id, "initialSync"))
    start = look["messages"]["end"]
    waiting = asyncio.create_task(mallory.get("events", room_id=room_id, timeout=30_000, **{"from": start}))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    sent = await alice.send(room_id, "hello stranger")
    stream = await waiting
    assert [event["event_id"] for event in stream["chunk"]] == [sent]
    again = await mallory.get("events", room_id=room_id, **{"from": stream["end"]})
    assert again["chunk"] == []
    assert server.application.sync.sync.polls.memory_usage()["polls"] == 0


async def test_the_event_stream_tells_of_receipts_typing_and_presence(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    sent = await alice.send(room_id, "hello")
    end = (await alice.get("initialSync"))["end"]
    # Changes of presence are told together, at most once a second.
    server.clock.advance(ms=1_500)
    await alice.put(("user", alice.user_id, "rooms", room_id, "tags", "u.work"), {})
    await alice.put(("user", alice.user_id, "account_data", "m.direct"), {bob.user_id: [room_id]})
    await bob.post(("rooms", room_id, "receipt", "m.read", sent))
    await bob.put(("rooms", room_id, "typing", bob.user_id), {"typing": True, "timeout": 30_000})
    await bob.put(("presence", bob.user_id, "status"), {"presence": "online"})
    chunk = (await follow(alice, end))["chunk"]
    told = {event["type"]: event for event in chunk}
    assert (told["m.tag"]["room_id"], told["m.tag"]["content"]) == (room_id, {"tags": {"u.work": {}}})
    assert told["m.direct"]["content"] == {bob.user_id: [room_id]}
    assert told["m.receipt"]["room_id"] == told["m.typing"]["room_id"] == room_id
    assert bob.user_id in told["m.receipt"]["content"][sent]["m.read"]
    assert told["m.typing"]["content"] == {"user_ids": [bob.user_id]}
    assert told["m.presence"]["content"]["user_id"] == bob.user_id
    first = await alice.get("initialSync")
    # Whoever uses these endpoints is there too.
    assert {event["content"]["user_id"] for event in first["presence"]} == {alice.user_id, bob.user_id}
    assert first["account_data"] == [{"type": "m.direct", "content": {bob.user_id: [room_id]}}]
    look = await alice.get(("rooms", room_id, "initialSync"))
    assert {event["content"]["user_id"] for event in look["presence"]} == {alice.user_id, bob.user_id}
    assert {event["user_id"] for event in look["state"]} == {alice.user_id, bob.user_id}
    assert look["receipts"][0]["content"] == told["m.receipt"]["content"]


async def test_a_stranger_sees_what_those_in_a_world_readable_room_do(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat", initial_state=[READABLE])
    sent = await alice.send(room_id, "hello stranger")
    end = (await mallory.get("events", room_id=room_id))["end"]
    waiting = asyncio.create_task(follow(mallory, end, room_id=room_id, timeout=30_000))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": True, "timeout": 30_000})
    stream = await waiting
    assert [(event["type"], event["room_id"]) for event in stream["chunk"]] == [("m.typing", room_id)]
    await alice.post(("rooms", room_id, "receipt", "m.read.private", sent))
    await alice.put(("presence", alice.user_id, "status"), {"presence": "online"})
    stream = await follow(mallory, stream["end"], room_id=room_id)
    assert [event["type"] for event in stream["chunk"]] == ["m.presence"]


async def test_who_has_left_hears_nothing_more_of_those_in_the_room(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.leave(room_id)
    end = (await bob.get("events", room_id=room_id))["end"]
    sent = await alice.send(room_id, "hello")
    await alice.post(("rooms", room_id, "receipt", "m.read", sent))
    await alice.put(("presence", alice.user_id, "status"), {"presence": "online"})
    assert (await bob.get("events", room_id=room_id, **{"from": end}))["chunk"] == []
    look = await bob.get(("rooms", room_id, "initialSync"))
    assert (look["membership"], look["presence"], look["receipts"]) == ("leave", [], [])


async def test_a_stranger_does_not_follow_other_rooms(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.get("events", room_id=room_id, expect=(403, "M_FORBIDDEN"))
