"""GET /sync: filters, lazily loaded members, summaries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cast import Client, Server, SyncAnswer

LAZY: dict[str, Any] = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 10}}}


def members(answer: SyncAnswer, room_id: str) -> list[str]:
    events = answer.room(room_id).get("state", {}).get("events", [])
    return sorted(event["state_key"] for event in events if event["type"] == "m.room.member")


async def crowd(server: Server, *names: str, **room: Any) -> tuple[str, list[Client]]:
    first, *others = [await server.register(name) for name in names]
    room_id = await first.create_room(preset="public_chat", **room)
    for other in others:
        await other.join(room_id)
    return room_id, [first, *others]


async def talk(client: Client, room_id: str, count: int = 10) -> None:
    for number in range(count):
        await client.send(room_id, f"{client.user_id} {number}")


# -- filters ---------------------------------------------------------------------------------------


async def test_a_stored_filter_works_like_the_filter_itself(server: Server) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    await bob.send(room_id, "hello")
    wanted = {"room": {"timeline": {"types": ["m.room.message"]}, "state": {"types": ["m.room.create"]}}}
    filter_id = (await alice.post(("user", alice.user_id, "filter"), wanted))["filter_id"]
    for given in (filter_id, json.dumps(wanted)):
        answer = await alice.sync(since=None, filter=given)
        assert [event["type"] for event in answer.timeline(room_id)] == ["m.room.message"]
        assert [event["type"] for event in answer.room(room_id)["state"]["events"]] == ["m.room.create"]


async def test_an_unknown_filter_is_refused(server: Server) -> None:
    alice = await server.register("alice")
    await alice.get("sync", filter="4711", expect=(400, "M_INVALID_PARAM"))
    await alice.get("sync", filter="{", expect={400})


async def test_only_the_rooms_that_are_wanted(server: Server) -> None:
    alice = await server.register("alice")
    wanted, other = await alice.create_room(), await alice.create_room()
    answer = await alice.sync(filter={"room": {"rooms": [wanted]}})
    assert list(answer["rooms"]["join"]) == [wanted]
    answer = await alice.sync(since=None, filter={"room": {"not_rooms": [wanted]}})
    assert list(answer["rooms"]["join"]) == [other]


async def test_rare_events_are_found_behind_many_others(server: Server) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    rare = await alice.send(room_id, {"body": "rare"}, "org.example.rare")
    await talk(bob, room_id, 80)
    wanted = {"room": {"timeline": {"types": ["org.example.*"], "limit": 1}}}
    assert (await alice.sync(filter=wanted)).event_ids(room_id) == [rare]


async def test_a_state_event_that_the_timeline_leaves_out_is_told_as_state(server: Server) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    await alice.sync()
    await bob.send(room_id, "one")
    await alice.set_state(room_id, "m.room.topic", {"topic": "told all the same"})
    await bob.send(room_id, "two")
    answer = await alice.sync(filter={"room": {"timeline": {"types": ["m.room.message"]}}})
    assert [event["type"] for event in answer.timeline(room_id)] == ["m.room.message"] * 2
    assert [event["type"] for event in answer.room(room_id)["state"]["events"]] == ["m.room.topic"]


async def test_a_limit_of_zero_gives_the_state_without_events(server: Server) -> None:
    room_id, (alice, _) = await crowd(server, "alice", "bob")
    wanted = {"room": {"timeline": {"limit": 0}, "state": {"types": ["m.room.member"]}}}
    answer = await alice.sync(filter=wanted)
    assert answer.room(room_id)["timeline"]["events"] == []
    assert len(answer.room(room_id)["state"]["events"]) == 2


async def test_a_filter_for_nothing_gives_no_rooms(server: Server) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    await alice.sync()
    await bob.send(room_id, "hello")
    nothing: dict[str, Any] = {"types": []}
    wanted = {"room": {"timeline": nothing, "state": nothing, "ephemeral": nothing, "account_data": nothing}}
    answer = await alice.sync(filter={**wanted, "presence": nothing, "account_data": nothing})
    assert "rooms" not in answer


async def test_only_the_fields_that_are_wanted(server: Server) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    await alice.sync()
    await bob.send(room_id, "hello")
    answer = await alice.sync(
        filter={"event_fields": ["content.body", "event_id", "type", "sender", "origin_server_ts"]}
    )
    (event,) = answer.timeline(room_id)
    assert event["content"] == {"body": "hello"}
    assert "unsigned" not in event


async def test_the_federation_format_is_the_whole_event(server: Server) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    event_id = await bob.send(room_id, "hello")
    answer = await alice.sync(filter={"event_format": "federation", "room": {"timeline": {"limit": 1}}})
    (event,) = answer.timeline(room_id)
    assert event["event_id"] == event_id
    assert {"auth_events", "prev_events", "depth", "hashes", "signatures", "room_id", "content"} <= event.keys()
    assert all("signatures" in event for event in answer.room(room_id)["state"]["events"])


async def test_messages_of_an_ignored_user_are_hidden_and_his_state_is_not(server: Server) -> None:
    room_id, (alice, mallory) = await crowd(server, "alice", "mallory")
    ignoring: dict[str, Any] = {"ignored_users": {mallory.user_id: {}}}
    await alice.put(("user", alice.user_id, "account_data", "m.ignored_user_list"), ignoring)
    await alice.sync()
    await mallory.send(room_id, "spam")
    assert room_id not in (await alice.sync()).get("rooms", {}).get("join", {})
    await mallory.leave(room_id)
    assert [event["type"] for event in (await alice.sync()).timeline(room_id)] == ["m.room.member"]
    bodies = [event["content"].get("body") for event in (await alice.sync(since=None)).timeline(room_id)]
    assert "spam" not in bodies


# -- lazily loaded members -------------------------------------------------------------------------


async def test_an_initial_sync_has_those_who_speak_and_the_reader(server: Server) -> None:
    room_id, (alice, bob, charlie) = await crowd(server, "alice", "bob", "charlie", name="Kitchen")
    await talk(bob, room_id)
    await talk(charlie, room_id)
    assert members(await alice.sync(filter=LAZY), room_id) == [alice.user_id, charlie.user_id]


async def test_a_member_is_sent_once_and_again_only_if_asked_for(server: Server) -> None:
    room_id, (alice, bob, charlie) = await crowd(server, "alice", "bob", "charlie", name="Kitchen")
    await talk(bob, room_id)
    assert members(await alice.sync(filter=LAZY), room_id) == [alice.user_id, bob.user_id]
    await talk(charlie, room_id, 1)
    assert members(await alice.sync(filter=LAZY), room_id) == [charlie.user_id]
    await talk(charlie, room_id, 1)
    assert members(await alice.sync(filter=LAZY), room_id) == []
    await talk(charlie, room_id, 1)
    redundant = {"room": {"state": {"lazy_load_members": True, "include_redundant_members": True}}}
    assert members(await alice.sync(filter=redundant), room_id) == [charlie.user_id]


async def test_a_gap_brings_every_change_of_membership_in_it(server: Server) -> None:
    room_id, (alice, bob, charlie) = await crowd(server, "alice", "bob", "charlie", name="Kitchen")
    dave = await server.register("dave")
    await talk(bob, room_id)
    await alice.sync(filter=LAZY)
    await dave.join(room_id)
    await talk(charlie, room_id, 20)
    assert members(await alice.sync(filter=LAZY), room_id) == [charlie.user_id, dave.user_id]
    await dave.leave(room_id)
    await talk(charlie, room_id, 20)
    answer = await alice.sync(filter=LAZY)
    assert members(answer, room_id) == [dave.user_id]
    assert answer.room(room_id)["state"]["events"][0]["content"]["membership"] == "leave"


async def test_heroes_come_with_their_member_events(server: Server) -> None:
    room_id, (alice, bob, charlie) = await crowd(server, "alice", "bob", "charlie")
    await talk(bob, room_id)
    answer = await alice.sync(filter=LAZY)
    assert answer.room(room_id)["summary"]["m.heroes"] == [bob.user_id, charlie.user_id]
    assert members(answer, room_id) == [alice.user_id, bob.user_id, charlie.user_id]


# -- summaries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cold", [False, True])
async def test_a_summary_counts_members_and_names_five_heroes(server: Server, cold: bool) -> None:
    names = ["alice", "bob", "charlie", "dave", "erin", "frank", "grace"]
    room_id, (alice, *others) = await crowd(server, *names)
    if cold:
        cache = server.application.base.cache
        cache.retire(await cache.get(room_id))
    summary = (await alice.sync()).room(room_id)["summary"]
    assert summary == {
        "m.joined_member_count": 7,
        "m.invited_member_count": 0,
        "m.heroes": [other.user_id for other in others[:5]],
    }


@pytest.mark.parametrize("cold", [False, True])
async def test_a_summary_comes_again_only_when_members_change(server: Server, cold: bool) -> None:
    room_id, (alice, bob) = await crowd(server, "alice", "bob")
    dave = await server.register("dave")
    await alice.sync()
    await bob.send(room_id, "hello")
    assert "summary" not in (await alice.sync()).room(room_id)
    await alice.invite(room_id, dave)
    await bob.leave(room_id)
    if cold:
        cache = server.application.base.cache
        cache.retire(await cache.get(room_id))
    assert (await alice.sync()).room(room_id)["summary"] == {
        "m.joined_member_count": 1,
        "m.invited_member_count": 1,
        "m.heroes": [dave.user_id],
    }
    await alice.kick(room_id, dave)
    assert (await alice.sync()).room(room_id)["summary"]["m.heroes"] == [bob.user_id, dave.user_id]
