"""Single events, their context, state and members: Alice's room looked at from all sides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cast import Client, Server


async def _room(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", name="Lobby")
    await bob.join(room_id)
    return alice, bob, room_id


# --- /event -----------------------------------------------------------------------------------------------------------


async def test_an_event_by_its_id(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await alice.send(room_id, "hello", txn_id="one")
    server.clock.advance(ms=1500)
    event = await alice.get(("rooms", room_id, "event", event_id))
    assert event["room_id"] == room_id
    assert event["content"]["body"] == "hello"
    assert event["unsigned"] == {"age": 1500, "membership": "join", "transaction_id": "one"}
    assert "transaction_id" not in (await bob.get(("rooms", room_id, "event", event_id)))["unsigned"]


async def test_events_that_are_unknown_or_of_another_room_are_not_found(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    elsewhere = await alice.create_room()
    event_id = await alice.send(elsewhere, "hello")
    for wrong in ("$unknown", "nonsense", event_id):
        await alice.get(("rooms", room_id, "event", wrong), expect=(404, "M_NOT_FOUND"))
        await alice.get(("rooms", room_id, "context", wrong), expect=(404, "M_NOT_FOUND"))
    await alice.get(("rooms", "!nowhere:test", "event", event_id), expect=(404, "M_NOT_FOUND"))
    await bob.get(("rooms", elsewhere, "event", event_id), expect=(404, "M_NOT_FOUND"))


async def test_a_redacted_event_says_why(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "spam")
    redaction_id = await alice.redact(room_id, event_id, "rude")
    for event in (
        await bob.get(("rooms", room_id, "event", event_id)),
        next(e for e in (await bob.messages(room_id))["chunk"] if e["event_id"] == event_id),
    ):
        assert event["content"] == {}
        because = event["unsigned"]["redacted_because"]
        assert because["event_id"] == redaction_id
        assert because["content"]["reason"] == "rude"


async def test_state_events_tell_what_they_replaced(server: Server) -> None:
    alice, _, room_id = await _room(server)
    await alice.set_state(room_id, "m.room.name", {"name": "Garden"})
    event = (await alice.messages(room_id, limit=1))["chunk"][0]
    assert event["content"] == {"name": "Garden"}
    assert event["unsigned"]["prev_content"] == {"name": "Lobby"}
    assert event["unsigned"]["prev_sender"] == alice.user_id


# --- /context ---------------------------------------------------------------------------------------------------------


async def test_context_shows_what_was_said_around_an_event(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    sent = [await alice.send(room_id, str(number)) for number in range(9)]
    context = await bob.get(("rooms", room_id, "context", sent[4]), limit=5)
    assert context["event"]["event_id"] == sent[4]
    assert [e["event_id"] for e in context["events_before"]] == [sent[3], sent[2]]
    assert [e["event_id"] for e in context["events_after"]] == [sent[5], sent[6], sent[7]]
    older = await bob.messages(room_id, limit=1, **{"from": context["start"]})
    newer = await bob.messages(room_id, limit=1, dir="f", **{"from": context["end"]})
    assert [older["chunk"][0]["event_id"], newer["chunk"][0]["event_id"]] == [sent[1], sent[8]]


async def test_context_at_the_ends_of_a_room(server: Server) -> None:
    alice, _, room_id = await _room(server)
    last = await alice.send(room_id, "last")
    alone = await alice.get(("rooms", room_id, "context", last), limit=0)
    assert alone["events_before"] == alone["events_after"] == []
    assert alone["event"]["event_id"] == last
    create = (await alice.messages(room_id, dir="f", limit=1))["chunk"][0]["event_id"]
    context = await alice.get(("rooms", room_id, "context", create))
    assert context["events_before"] == []
    assert (await alice.messages(room_id, **{"from": context["start"]}))["chunk"] == []
    assert len(context["events_after"]) == 5
    await alice.get(("rooms", room_id, "context", last), limit=-1, expect=(400, "M_INVALID_PARAM"))


async def test_context_has_the_state_of_its_last_event(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    then = await alice.send(room_id, "in the lobby")
    await alice.set_state(room_id, "m.room.name", {"name": "Garden"})

    async def state(**query: Any) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for event in (await bob.get(("rooms", room_id, "context", then), **query))["state"]:
            found.setdefault(event["type"], []).append(event)
        return found

    assert (await state(limit=0))["m.room.name"][0]["content"] == {"name": "Lobby"}
    assert (await state())["m.room.name"][0]["content"] == {"name": "Garden"}
    lazy = await state(limit=0, filter='{"lazy_load_members": true}')
    assert [event["state_key"] for event in lazy["m.room.member"]] == [alice.user_id]
    assert len(lazy) > 4
    assert len((await state(limit=0))["m.room.member"]) == 2
    assert list(await state(filter=json.dumps({"types": ["m.room.topic", "m.room.name"]}))) == ["m.room.name"]


async def test_the_filter_spares_the_event_itself(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    await bob.send(room_id, "before")
    event_id = await alice.send(room_id, "hello")
    await bob.send(room_id, "after")
    query = {"filter": json.dumps({"senders": [bob.user_id], "types": ["m.room.message"]})}
    context = await alice.get(("rooms", room_id, "context", event_id), **query)
    assert context["event"]["event_id"] == event_id
    assert [e["content"]["body"] for e in context["events_before"] + context["events_after"]] == ["before", "after"]


# --- /state -----------------------------------------------------------------------------------------------------------


async def test_state_with_and_without_key_and_as_an_event(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    await alice.set_state(room_id, "org.example", {"keyed": 1}, "key")
    assert await bob.state(room_id, "m.room.name") == {"name": "Lobby"}
    assert await bob.get(("rooms", room_id, "state", "m.room.name")) == {"name": "Lobby"}
    assert await bob.state(room_id, "org.example", "key") == {"keyed": 1}
    await bob.state(room_id, "org.example", expect=(404, "M_NOT_FOUND"))
    await bob.state(room_id, "m.room.topic", expect=(404, "M_NOT_FOUND"))
    # Unchecked: the schema says `oneOf` any object and an event, and an event is both.
    path = ("rooms", room_id, "state", "m.room.name", "")
    event = (await bob.raw("GET", path, query={"format": "event"}, check=False)).json()
    assert (event["type"], event["sender"], event["room_id"]) == ("m.room.name", alice.user_id, room_id)
    assert await bob.get(("rooms", room_id, "state", "m.room.name", ""), format="content") == {"name": "Lobby"}
    await bob.get(("rooms", room_id, "state", "m.room.name", ""), format="yaml", expect=(400, "M_INVALID_PARAM"))
    types = [event["type"] for event in await bob.get(("rooms", room_id, "state"))]
    assert types.count("m.room.member") == 2
    assert {"m.room.create", "m.room.power_levels", "m.room.join_rules", "org.example"} <= set(types)


@pytest.mark.parametrize("visibility", ["shared", "world_readable"])
async def test_who_left_finds_state_and_members_as_he_left_them(server: Server, visibility: str) -> None:
    alice, bob, room_id = await _room(server)
    await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": visibility})
    await bob.leave(room_id)
    await alice.set_state(room_id, "m.room.name", {"name": "Garden"})
    await alice.set_state(room_id, "m.room.topic", {"topic": "Bob"})
    carol = await server.register("carol")
    await carol.join(room_id)
    assert await bob.state(room_id, "m.room.name") == {"name": "Lobby"}
    await bob.state(room_id, "m.room.topic", expect=(404, "M_NOT_FOUND"))
    state = {(e["type"], e["state_key"]): e["content"] for e in await bob.get(("rooms", room_id, "state"))}
    assert state["m.room.name", ""] == {"name": "Lobby"}
    assert state["m.room.member", bob.user_id]["membership"] == "leave"
    assert ("m.room.topic", "") not in state
    members = await bob.get(("rooms", room_id, "members"))
    memberships = {event["state_key"]: event["content"]["membership"] for event in members["chunk"]}
    assert memberships == {alice.user_id: "join", bob.user_id: "leave"}


# --- Members ----------------------------------------------------------------------------------------------------------


async def test_members_by_membership(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    carol, dave = await server.register("carol"), await server.register("dave")
    await alice.invite(room_id, carol)
    await alice.ban(room_id, dave)

    async def found(**query: Any) -> list[str]:
        chunk = (await alice.get(("rooms", room_id, "members"), **query))["chunk"]
        return sorted(event["state_key"] for event in chunk)

    everybody = [alice.user_id, bob.user_id, carol.user_id, dave.user_id]
    assert await found() == everybody
    assert await found(membership="join") == everybody[:2]
    assert await found(membership="invite") == [carol.user_id]
    assert await found(not_membership="join") == [carol.user_id, dave.user_id]
    assert await found(membership="knock") == []
    # "The two parameters create an 'or' condition."
    assert await found(membership="ban", not_membership="join") == [carol.user_id, dave.user_id]
    await alice.get(("rooms", room_id, "members"), membership="sleep", expect=(400, "M_INVALID_PARAM"))
    await alice.get(("rooms", room_id, "members"), at="yesterday", expect=(400, "M_INVALID_PARAM"))


async def test_members_at_a_place_of_the_timeline(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    token = (await alice.messages(room_id, limit=1))["start"]
    await bob.leave(room_id)
    carol = await server.register("carol")
    await carol.join(room_id)

    async def found(**query: Any) -> dict[str, str]:
        chunk = (await alice.get(("rooms", room_id, "members"), **query))["chunk"]
        return {event["state_key"]: event["content"]["membership"] for event in chunk}

    assert await found(at=token) == {alice.user_id: "join", bob.user_id: "join"}
    assert await found() == {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "join"}
    now = (await alice.messages(room_id, limit=1))["start"]
    assert await found(at=now, membership="join") == {alice.user_id: "join", carol.user_id: "join"}


async def test_joined_members_with_their_profiles(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    carol = await server.register("carol")
    await alice.invite(room_id, carol)
    member = {"membership": "join", "displayname": "Bobby", "avatar_url": "mxc://test/bobby"}
    await bob.set_state(room_id, "m.room.member", member, bob.user_id)
    joined = (await alice.get(("rooms", room_id, "joined_members")))["joined"]
    assert joined == {
        alice.user_id: {"display_name": "alice"},
        bob.user_id: {"display_name": "Bobby", "avatar_url": "mxc://test/bobby"},
    }
    await carol.get(("rooms", room_id, "joined_members"), expect=(403, "M_FORBIDDEN"))
    await bob.leave(room_id)
    await bob.get(("rooms", room_id, "joined_members"), expect=(403, "M_FORBIDDEN"))


async def test_memory_answers_for_awake_rooms(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "hello")
    database = server.application.base.database
    await alice.messages(room_id)
    before = database.statements
    now = (await alice.messages(room_id, limit=1))["start"]
    await alice.get(("rooms", room_id, "members"))
    await alice.get(("rooms", room_id, "members"), at=now, membership="join")
    await alice.get(("rooms", room_id, "joined_members"))
    await alice.get(("rooms", room_id, "state"))
    await alice.state(room_id, "m.room.name")
    await alice.get(("rooms", room_id, "event", event_id))
    await alice.get(("rooms", room_id, "context", event_id))
    assert database.statements == before


# --- /initialSync -----------------------------------------------------------------------------------------------------


async def test_a_first_look_at_a_room(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
    event_id = await alice.send(room_id, "public")
    guest = await server.guest()
    look = await guest.get(("rooms", room_id, "initialSync"))
    assert "membership" not in look
    assert look["visibility"] == "private"
    assert [e["type"] for e in look["messages"]["chunk"]] == ["m.room.history_visibility", "m.room.message"]
    assert look["messages"]["chunk"][1]["event_id"] == event_id
    assert "m.room.create" in [event["type"] for event in look["state"]]
    mine = await bob.get(("rooms", room_id, "initialSync"), limit=1)
    assert mine["membership"] == "join"
    older = await bob.messages(room_id, limit=1, **{"from": mine["messages"]["start"]})
    assert older["chunk"][0]["type"] == "m.room.history_visibility"
    closed = await alice.create_room()
    await bob.get(("rooms", closed, "initialSync"), expect=(403, "M_FORBIDDEN"))


# --- /timestamp_to_event ----------------------------------------------------------------------------------------------


def _at(room_id: str) -> str:
    return f"/_matrix/client/v1/rooms/{room_id}/timestamp_to_event"


async def test_events_are_found_by_their_time(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    sent: list[tuple[str, int]] = []
    for number in range(20):
        server.clock.advance(ms=1000)
        sent.append((await alice.send(room_id, str(number)), server.clock.now_ms()))

    async def found(ts: int, direction: str) -> str:
        answer = await bob.get(_at(room_id), ts=ts, dir=direction)
        event_id: str = answer["event_id"]
        assert answer["origin_server_ts"] == dict(sent)[event_id]
        return event_id

    for index, (event_id, ts) in enumerate(sent):
        assert await found(ts, "f") == await found(ts, "b") == event_id
        if index:
            assert await found(ts - 500, "b") == sent[index - 1][0]
            assert await found(ts - 500, "f") == event_id
    last = sent[-1][1]
    assert await found(last + 10**9, "b") == sent[-1][0]
    await bob.get(_at(room_id), ts=last + 1, dir="f", expect=(404, "M_NOT_FOUND"))
    await bob.get(_at(room_id), ts=-1, dir="b", expect=(404, "M_NOT_FOUND"))
    first = await bob.get(_at(room_id), ts=0, dir="f")
    create = (await bob.messages(room_id, dir="f", limit=1))["chunk"][0]
    assert first["event_id"] == create["event_id"]


async def test_the_event_at_a_time_is_one_the_reader_may_see(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    state = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    room_id = await alice.create_room(preset="public_chat", initial_state=[state])
    await mallory.get(_at(room_id), ts=0, dir="f", expect=(403, "M_FORBIDDEN"))
    server.clock.advance(ms=1000)
    hidden_from = server.clock.now_ms()
    await alice.send(room_id, "secret")
    server.clock.advance(ms=1000)
    await mallory.join(room_id)
    own_join = (await mallory.messages(room_id, limit=1))["chunk"][0]
    assert (await mallory.get(_at(room_id), ts=hidden_from, dir="f"))["event_id"] == own_join["event_id"]
    # The first events came before the visibility was set, when it was `shared`.
    earlier = await mallory.get(_at(room_id), ts=own_join["origin_server_ts"] - 1, dir="b")
    assert earlier["origin_server_ts"] == hidden_from - 1000


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({}, "M_MISSING_PARAM"), ({"ts": 1}, "M_MISSING_PARAM"), ({"ts": "now", "dir": "f"}, "M_INVALID_PARAM"),
        ({"ts": 1, "dir": "x"}, "M_INVALID_PARAM"),
    ],
)  # fmt: skip
async def test_time_and_direction_are_required(server: Server, query: dict[str, Any], errcode: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.get(_at(room_id), expect=(400, errcode), **query)
