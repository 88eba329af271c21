"""Sliding sync: filters, the accepted shape beside today's, bad input, and what resolution of state takes away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ACCEPTED = "/_matrix/client/v4/sync"
EVERYTHING: dict[str, Any] = {"timeline_limit": 5, "required_state": {"include": [{}], "lazy_members": True}}


async def listed(client: Client, **filters: Any) -> set[str]:
    wanted = {"timeline_limit": 1, "required_state": [], "filters": filters}
    return set((await client.post(UNSTABLE, {"lists": {"a": wanted}}))["rooms"])


async def test_filters(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    plain = await alice.create_room(name="Garden")
    secret = await alice.create_room(name="Secret Garden", initial_state=[encryption])
    space = await alice.create_room(name="Space", creation_content={"type": "m.space"})
    invited = await bob.create_room(preset="private_chat", name="Bob's", invite=[alice.user_id])
    await alice.set_state(space, "m.space.child", {"via": ["test"]}, plain)
    await alice.set_state(space, "m.space.child", {}, secret)
    await alice.put(("user", alice.user_id, "account_data", "m.direct"), {bob.user_id: [secret]})
    await alice.put(("user", alice.user_id, "rooms", plain, "tags", "m.favourite"), {"order": 0.5})
    everything = {plain, secret, space, invited}
    assert await listed(alice) == everything
    assert await listed(alice, is_dm=True) == {secret}
    assert await listed(alice, is_dm=False) == everything - {secret}
    assert await listed(alice, is_encrypted=True) == {secret}
    assert await listed(alice, is_invite=True) == {invited}
    assert await listed(alice, is_invite=False) == everything - {invited}
    assert await listed(alice, room_types=["m.space"]) == {space}
    assert await listed(alice, room_types=[None]) == everything - {space}
    assert await listed(alice, not_room_types=["m.space"]) == everything - {space}
    assert await listed(alice, room_types=["m.space"], not_room_types=["m.space"]) == set()
    assert await listed(alice, tags=["m.favourite"]) == {plain}
    assert await listed(alice, not_tags=["m.favourite"]) == everything - {plain}
    assert await listed(alice, room_name_like="gARDEN") == {plain, secret}
    assert await listed(alice, spaces=[space]) == {plain}
    assert await listed(bob, spaces=[space]) == set()
    # All of them are followed.
    await alice.set_state(plain, "m.room.encryption", encryption["content"])
    await alice.set_state(plain, "m.room.name", {"name": "Meadow"})
    await alice.set_state(space, "m.space.child", {"via": ["test"]}, secret)
    await alice.delete(("user", alice.user_id, "rooms", plain, "tags", "m.favourite"))
    await alice.put(("user", alice.user_id, "account_data", "m.direct"), {})
    assert await listed(alice, is_encrypted=True) == {plain, secret}
    assert await listed(alice, room_name_like="garden") == {secret}
    assert await listed(alice, spaces=[space]) == {plain, secret}
    assert await listed(alice, tags=["m.favourite"]) == set()
    assert await listed(alice, is_dm=True) == set()


async def test_the_accepted_shape(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", name="Here", topic="this")
    await bob.join(room_id)
    event_id = await alice.send(room_id, "hello")
    body: dict[str, Any] = {"lists": {"main": {**EVERYTHING, "range": [0, 9]}}, "timeout": 0, "set_presence": "offline"}
    first = await bob.post(ACCEPTED, body)
    assert first["lists"] == {"main": {"count": 1}}
    room = first["rooms"][room_id]
    assert room["membership"] == "join"
    assert room["lists"] == ["main"]
    assert room["timeline_events"][-1]["event_id"] == event_id
    assert "notification_count" not in room
    assert {event["type"] for event in room["required_state"]} >= {"m.room.topic", "m.room.member", "m.room.create"}
    # "A `pos` token can be used in `/messages`".
    page = await bob.messages(room_id, **{"from": first["pos"]})
    assert page["chunk"][0]["event_id"] == event_id
    quiet = await bob.post(ACCEPTED, {**body, "pos": first["pos"]})
    assert "rooms" not in quiet
    await alice.set_state(room_id, "m.room.name", {})
    renamed = await bob.post(ACCEPTED, {**body, "pos": quiet["pos"]})
    assert renamed["rooms"][room_id]["name"] is None
    assert "topic" not in str(renamed["rooms"][room_id]["required_state"])
    room_two = await alice.create_room(preset="private_chat", invite=[bob.user_id])
    invited = await bob.post(ACCEPTED, {**body, "pos": renamed["pos"]})
    assert invited["rooms"][room_two]["membership"] == "invite"
    assert invited["rooms"][room_two]["stripped_state"]


async def test_state_by_pattern(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(name="Here", topic="this")
    await alice.set_state(room_id, "my.thing", {"a": 1}, "left")
    await alice.set_state(room_id, "my.thing", {"a": 1}, "right")

    async def told(cold: bool, **required: Any) -> set[tuple[str, str]]:
        if cold:
            cache = server.application.base.cache
            cache.retire(await cache.get(room_id))
        wanted = {"timeline_limit": 0, "required_state": required}
        answer = await alice.post(ACCEPTED, {"room_subscriptions": {room_id: wanted}})
        return {(event["type"], event["state_key"]) for event in answer["rooms"][room_id]["required_state"]}

    everything = {(event["type"], event["state_key"]) for event in await alice.get(("rooms", room_id, "state"))}
    member = ("m.room.member", alice.user_id)
    for cold in (False, True):
        assert await told(cold, include=[{}]) == everything
        assert await told(cold, include=[{}], lazy_members=True) == everything - {member}
        assert await told(cold, include=[{}], exclude=[{"type": "my.thing"}, {"type": "m.room.member"}]) == {
            key for key in everything if key[0] not in ("my.thing", "m.room.member")
        }
        assert await told(cold, include=[{"type": "my.thing"}]) == {("my.thing", "left"), ("my.thing", "right")}
        assert await told(cold, include=[{"state_key": "left"}]) == {("my.thing", "left")}
        assert await told(cold, include=[{"state_key": alice.user_id}]) == {member}
        both = [{"type": "m.room.topic", "state_key": ""}, {"type": "my.thing", "state_key": "right"}]
        assert await told(cold, include=both) == {("m.room.topic", ""), ("my.thing", "right")}
        assert await told(cold) == set()


LIST: dict[str, Any] = {"timeline_limit": 1, "required_state": []}


def entries(count: int, kind: int) -> list[tuple[str, str]]:
    return [(f"type {kind}", f"{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"lists": {"a": {"required_state": []}}}, "M_MISSING_PARAM"),
        ({"lists": {"a": {**LIST, "timeline_limit": "1"}}}, "M_BAD_JSON"),
        ({"lists": {"a": {**LIST, "timeline_limit": -1}}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "timeline_limit": 1001}}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "required_state": [["m.room.name"]]}}}, "M_BAD_JSON"),
        ({"lists": {"a": {**LIST, "required_state": [["m.room.name", ""]] * 501}}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "ranges": [[3, 1]]}}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "ranges": [[-1, 1]]}}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "ranges": [[0]]}}}, "M_BAD_JSON"),
        ({"lists": {"a": {**LIST, "ranges": [[0, 1]] * 101}}}, "M_INVALID_PARAM"),
        ({"lists": {"a" * 65: LIST}}, "M_INVALID_PARAM"),
        ({"lists": {str(number): LIST for number in range(101)}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "filters": {"tags": ["x"] * 501}}}}, "M_INVALID_PARAM"),
        ({"lists": {"a": {**LIST, "filters": {"is_dm": "yes"}}}}, "M_BAD_JSON"),
        ({"room_subscriptions": {f"!{number}:test": LIST for number in range(1001)}}, "M_INVALID_PARAM"),
        ({"room_subscriptions": {"!" + "a" * 255: LIST}}, "M_INVALID_PARAM"),
        ({"conn_id": "c" * 256}, "M_INVALID_PARAM"),
        ({"extensions": {"to_device": {"enabled": True, "since": "x"}}}, "M_INVALID_PARAM"),
        ({"extensions": {"to_device": {"enabled": True, "limit": -1}}}, "M_INVALID_PARAM"),
        ({"extensions": {"typing": {"enabled": 1}}}, "M_BAD_JSON"),
        ({"extensions": {"typing": {"enabled": True, "rooms": ["!a:b"] * 1001}}}, "M_INVALID_PARAM"),
        ({"extensions": {"typing": {"enabled": True, "rooms": ["!" * 256]}}}, "M_INVALID_PARAM"),
        ({"lists": {f"{n}": {**LIST, "required_state": entries(350, n)} for n in range(3)}}, "M_INVALID_PARAM"),
        ({"lists": {f"{n}": {**LIST, "required_state": entries(1, n)} for n in range(21)}}, "M_INVALID_PARAM"),
    ],
)
async def test_bad_input(server: Server, body: dict[str, Any], error: str) -> None:
    mallory = await server.register("mallory")
    await mallory.post(UNSTABLE, body, expect=(400, error))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"lists": {"a": {"timeline_limit": 1}}}, "M_MISSING_PARAM"),
        ({"lists": {"a": {**EVERYTHING, "range": [[0, 1]]}}}, "M_BAD_JSON"),
        ({"lists": {"a": {**EVERYTHING, "range": [2, 1]}}}, "M_INVALID_PARAM"),
        ({"lists": {"a b": EVERYTHING}}, "M_INVALID_PARAM"),
        ({"timeout": -1}, "M_INVALID_PARAM"),
        ({"set_presence": "asleep"}, "M_INVALID_PARAM"),
        ({"pos": "p1_00_1"}, "M_UNKNOWN_POS"),
    ],
)
async def test_bad_input_in_the_accepted_shape(server: Server, body: dict[str, Any], error: str) -> None:
    mallory = await server.register("mallory")
    await mallory.post(ACCEPTED, body, expect=(400, error))


async def test_many_lists_that_want_the_same_and_ranges_that_overlap(server: Server) -> None:
    alice = await server.register("alice")
    rooms = [await alice.create_room(name=f"{number}") for number in range(5)]
    wanted = {"timeline_limit": 1, "required_state": entries(500, 0), "ranges": [[3, 3], [0, 1], [1, 2]] * 30}
    answer = await alice.post(UNSTABLE, {"lists": {str(number): wanted for number in range(100)}})
    assert answer["rooms"].keys() == set(rooms[1:])
