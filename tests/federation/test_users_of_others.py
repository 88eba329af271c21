"""What other servers tell us of their users, and ask about ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.settings import RoomDirectorySettings
from homeserver.federation.users.remote_keys import MAX_LISTS
from tests.cast import Client
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer
from tests.federation.shared_rooms import BOB, shared_room
from tests.federation.test_sending import device_keys, until

MALLORY = "@mallory:evil.example"
PHONE = {
    "user_id": BOB,
    "device_id": "PHONE",
    "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
    "keys": {"ed25519:PHONE": "A" * 43, "curve25519:PHONE": "B" * 43},
    "signatures": {BOB: {"ed25519:PHONE": "C" * 86}},
}


@pytest.fixture
def bobs(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


@pytest.fixture
async def open_alpha(world: World) -> AsyncIterator[Home]:
    async with running_home(
        ALPHA, 1, world, room_directory=RoomDirectorySettings(public_over_federation=True)
    ) as home:  # fmt: skip
        yield home


def edu(edu_type: str, **content: Any) -> dict[str, Any]:
    return {"edu_type": edu_type, "content": content}


# --- What is ephemeral ---


async def test_typing(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    await alice.sync()
    await bobs.send(alpha.server, edus=[edu("m.typing", room_id=room.room_id, user_id=BOB, typing=True)])
    assert (await alice.sync()).ephemeral(room.room_id, "m.typing") == [{"user_ids": [BOB]}]
    await bobs.send(alpha.server, edus=[edu("m.typing", room_id=room.room_id, user_id=BOB, typing=False)])
    assert (await alice.sync()).ephemeral(room.room_id, "m.typing") == [{"user_ids": []}]


async def test_receipts(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    hello = await alice.send(room.room_id, "hello")
    await alice.sync()
    receipt = {room.room_id: {"m.read": {BOB: {"data": {"ts": 5}, "event_ids": [hello]}}}}
    await bobs.send(alpha.server, edus=[edu("m.receipt", **receipt)])
    shown = (await alice.sync()).ephemeral(room.room_id, "m.receipt")
    assert shown == [{hello: {"m.read": {BOB: {"ts": 5}}}}]


async def test_presence(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    await alice.sync()
    push = {"user_id": BOB, "presence": "online", "status_msg": "at the lake", "last_active_ago": 10}
    await bobs.send(alpha.server, edus=[edu("m.presence", push=[push])])
    shown = await alice.get(("presence", BOB, "status"))
    assert (shown["presence"], shown["status_msg"]) == ("online", "at the lake")
    await bobs.send(alpha.server, edus=[edu("m.presence", push=[{**push, "presence": "busy"}])])  # MSC3026
    assert (await alice.get(("presence", BOB, "status")))["presence"] == "busy"


async def test_messages_to_devices_come_once(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    message = edu(
        "m.direct_to_device",
        sender=BOB,
        type="org.example",
        message_id="one",
        messages={alice.user_id: {alice.device_id: {"word": "psst"}}, BOB: {"*": {}}},
    )
    await bobs.send(alpha.server, edus=[message])
    await bobs.send(alpha.server, edus=[message])
    (event,) = (await alice.sync()).to_device()
    assert event == {"sender": BOB, "type": "org.example", "content": {"word": "psst"}}


async def test_nobody_speaks_for_users_of_others(alpha: Home, bobs: ForeignServer) -> None:
    """Mallory's server has a user in the room, and tells things of Alice and of Carol, who is at none of its own."""
    alice, room = await shared_room(alpha, bobs)
    hello = await alice.send(room.room_id, "hello")
    await alice.sync()
    carol = "@carol:other.example"
    receipt = {room.room_id: {"m.read": {alice.user_id: {"data": {}, "event_ids": [hello]}}}}
    await bobs.send(
        alpha.server,
        edus=[
            edu("m.typing", room_id=room.room_id, user_id=alice.user_id, typing=True),
            edu("m.typing", room_id=room.room_id, user_id="@stranger:peer.example", typing=True),
            edu("m.receipt", **receipt),
            edu("m.receipt", **{room.room_id: {"m.read": {BOB: {"event_ids": ["$unknown", 7, None]}}}}),
            edu("m.receipt", **{room.room_id: {"m.read.private": {BOB: {"event_ids": [hello]}}}}),
            edu(
                "m.presence", push=[{"user_id": carol, "presence": "online"}, 7, {"user_id": BOB, "presence": "great"}]
            ),
            edu("m.direct_to_device", sender=carol, type="t", message_id="1", messages={alice.user_id: {"*": {}}}),
            edu("m.device_list_update", user_id=carol, device_id="D", stream_id=1, prev_id=[]),
            edu("m.device_list_update", user_id=BOB, device_id=["D"], stream_id="1"),
            edu("m.signing_key_update", user_id=carol, master_key={}),
        ],
    )
    sync = await alice.sync()
    assert sync.room(room.room_id).get("ephemeral", {}).get("events", []) == []
    assert sync.to_device() == []
    assert "device_lists" not in sync or not sync["device_lists"].get("changed")


# --- Keys ---


def has_devices(bobs: ForeignServer, *devices: dict[str, Any], stream_id: int = 1) -> list[str]:
    """What Bob's server answers about him; returned is a list that grows with what it is asked."""
    asked: list[str] = []

    def query(request: Asked) -> Any:
        asked.append("query")
        return {"device_keys": {BOB: {each["device_id"]: each for each in devices}}}

    def listed(request: Asked) -> Any:
        asked.append("devices")
        told = [{"device_id": each["device_id"], "keys": each} for each in devices]
        return {"user_id": BOB, "stream_id": stream_id, "devices": told}

    bobs.peer.serves("POST", f"{V1}/user/keys/query", query)
    bobs.peer.serves("GET", f"{V1}/user/devices/{{user_id}}", listed)
    return asked


async def keys_of_bob(alice: Client) -> dict[str, Any]:
    answer = await alice.post("keys/query", {"device_keys": {BOB: []}})
    assert answer["failures"] == {}
    found: dict[str, Any] = answer["device_keys"].get(BOB, {})
    return found


async def test_keys_are_asked_for_once(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    asked = has_devices(bobs, PHONE)
    for _ in range(3):
        assert {key: value for key, value in (await keys_of_bob(alice))["PHONE"].items() if key != "unsigned"} == PHONE
    assert asked == ["devices"]


async def test_after_somebody_has_asked_for_keys_a_change_is_followed(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    asked = has_devices(bobs, PHONE, stream_id=5)
    assert set(await keys_of_bob(alice)) == {"PHONE"}
    gone = edu("m.device_list_update", user_id=BOB, device_id="PHONE", stream_id=6, prev_id=[5], deleted=True)
    await bobs.send(alpha.server, edus=[gone])
    assert await keys_of_bob(alice) == {}
    assert asked == ["devices"]


async def test_while_nobody_of_ours_was_in_the_room_bob_may_have_changed(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    asked = has_devices(bobs, PHONE)
    await keys_of_bob(alice)
    await alice.leave(room.room_id)
    # We hear nothing of him, whatever we remember of the room.
    await keys_of_bob(alice)
    await keys_of_bob(alice)
    assert asked == ["devices", "query", "query"]
    await alice.post(("join", room.room_id), via=[bobs.name])
    tablet = {**PHONE, "device_id": "TABLET"}
    asked = has_devices(bobs, tablet)
    async with asyncio.timeout(10):
        while set(await keys_of_bob(alice)) != {"TABLET"}:
            await asyncio.sleep(0.01)
    assert asked == ["devices"]


async def test_alices_other_devices_learn_that_bobs_keys_are_to_be_had(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    phone = await alice.login()
    await phone.sync()
    bobs.peer.says(f"{V1}/user/devices/{BOB}", {"errcode": "M_UNKNOWN"}, 400)
    assert list((await phone.post("keys/query", {"device_keys": {BOB: []}}))["failures"]) == [bobs.name]
    assert BOB not in (await phone.sync()).get("device_lists", {}).get("changed", [])
    del bobs.peer.answers[f"{V1}/user/devices/{BOB}"]
    has_devices(bobs, PHONE)
    await keys_of_bob(alice)
    assert (await phone.sync())["device_lists"]["changed"] == [BOB]
    await keys_of_bob(phone)
    assert "device_lists" not in await phone.sync()


async def test_many_users_of_a_server_are_one_question(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    asked = has_devices(bobs, PHONE)
    others = [f"@user{number}:{bobs.name}" for number in range(MAX_LISTS)]
    await alice.post("keys/query", {"device_keys": {user_id: [] for user_id in (BOB, *others)}})
    assert asked == ["query"]


async def test_of_a_stranger_nothing_is_kept(alpha: Home, bobs: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    asked = has_devices(bobs, PHONE)
    await keys_of_bob(alice)
    await keys_of_bob(alice)
    assert asked == ["query", "query"]


async def test_a_change_that_follows_is_taken_over(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    asked = has_devices(bobs, PHONE, stream_id=5)
    await alice.sync()
    await bobs.send(
        alpha.server, edus=[edu("m.device_list_update", user_id=BOB, device_id="X", stream_id=5, prev_id=[4])]
    )
    await until(lambda: asked == ["devices"])
    assert BOB in (await alice.sync_until(lambda sync: sync.get("device_lists")))["device_lists"]["changed"]
    tablet = {**PHONE, "device_id": "TABLET", "keys": {"ed25519:TABLET": "D" * 43}}
    change = edu(
        "m.device_list_update",
        user_id=BOB,
        device_id="TABLET",
        stream_id=6,
        prev_id=[5],
        keys=tablet,
        device_display_name="Bob's tablet",
    )
    await bobs.send(alpha.server, edus=[change])
    found = await keys_of_bob(alice)
    assert set(found) == {"PHONE", "TABLET"}
    assert found["TABLET"]["unsigned"] == {"device_display_name": "Bob's tablet"}
    gone = edu("m.device_list_update", user_id=BOB, device_id="PHONE", stream_id=7, prev_id=[6], deleted=True)
    await bobs.send(alpha.server, edus=[gone])
    assert set(await keys_of_bob(alice)) == {"TABLET"}
    assert asked == ["devices"]


async def test_keys_that_are_none_are_left_out(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    has_devices(bobs, {**PHONE, "user_id": alice.user_id}, {**PHONE, "device_id": "OTHER", "keys": 7})
    assert await keys_of_bob(alice) == {}


async def test_a_device_with_half_its_keys_is_there(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    odd = {**PHONE, "device_id": "ODD", "keys": {"a": "b"}}
    devices = [{"device_id": "BARE", "keys": {}}, *({"device_id": e["device_id"], "keys": e} for e in (PHONE, odd))]
    answer = {"user_id": BOB, "stream_id": 1, "devices": devices}
    bobs.peer.serves("GET", f"{V1}/user/devices/{{user_id}}", lambda asked: answer)
    keys = await keys_of_bob(alice)
    assert set(keys) == {"BARE", "PHONE", "ODD"}
    assert (keys["BARE"]["user_id"], keys["BARE"]["device_id"], keys["BARE"]["keys"]) == (BOB, "BARE", {})


async def test_a_server_that_does_not_answer_is_among_the_failures(alpha: Home) -> None:
    alice = await alpha.server.register("alice")
    answer = await alice.post("keys/query", {"device_keys": {"@eve:nowhere.example": []}})
    assert list(answer["failures"]) == ["nowhere.example"]
    claimed = await alice.post("keys/claim", {"one_time_keys": {"@eve:nowhere.example": {"D": "signed_curve25519"}}})
    assert list(claimed["failures"]) == ["nowhere.example"]


async def test_claims(alpha: Home, bobs: ForeignServer) -> None:
    """Alice claims a key of Bob; his server claims one of hers."""
    alice, _ = await shared_room(alpha, bobs)
    key = {"key": "D" * 43, "signatures": {BOB: {"ed25519:PHONE": "C" * 86}}}
    bobs.peer.says(
        f"{V1}/user/keys/claim", {"one_time_keys": {BOB: {"PHONE": {"signed_curve25519:AAAA": key}, "X": {"a:b": 7}}}}
    )
    wanted = {BOB: {"PHONE": "signed_curve25519"}}
    claimed = await alice.post("keys/claim", {"one_time_keys": wanted})
    assert claimed["one_time_keys"] == {BOB: {"PHONE": {"signed_curve25519:AAAA": key}}}

    own = {"key": "E" * 43, "signatures": {alice.user_id: {f"ed25519:{alice.device_id}": "C" * 86}}}
    await alice.post(
        "keys/upload", {"device_keys": device_keys(alice), "one_time_keys": {"signed_curve25519:BBBB": own}}
    )
    body = {"one_time_keys": {alice.user_id: {alice.device_id: "signed_curve25519"}}}
    answer = await bobs.ask(alpha.server, "POST", f"{V1}/user/keys/claim", body)
    assert answer == {"one_time_keys": {alice.user_id: {alice.device_id: {"signed_curve25519:BBBB": own}}}}


async def test_others_ask_for_our_keys(alpha: Home, bobs: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, bobs)
    await alice.post("keys/upload", {"device_keys": device_keys(alice)})
    body = {"device_keys": {alice.user_id: [], BOB: [], "@nobody:alpha.example": []}}
    answer = await bobs.ask(alpha.server, "POST", f"{V1}/user/keys/query", body)
    assert answer["device_keys"] == {alice.user_id: {alice.device_id: device_keys(alice)}}


# --- Profiles and rooms ---


async def test_a_profile_of_a_user_elsewhere(alpha: Home, bobs: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    bobs.peer.says(f"{V1}/query/profile", {"displayname": "Bob", "avatar_url": 7, "m.tz": "Europe/Berlin"})
    for _ in range(2):
        assert await alice.get(("profile", BOB)) == {"displayname": "Bob", "m.tz": "Europe/Berlin"}
    assert len([path for path in bobs.peer.paths() if "query/profile" in path]) == 1


async def test_our_profiles_for_others(alpha: Home, bobs: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Alice"})
    query = f"{V1}/query/profile?user_id={alice.user_id}"
    assert await bobs.ask(alpha.server, "GET", query) == {"displayname": "Alice"}
    assert await bobs.ask(alpha.server, "GET", f"{query}&field=avatar_url") == {}
    await bobs.ask(alpha.server, "GET", f"{V1}/query/profile?user_id=@nobody:alpha.example", expect=404)
    await bobs.ask(alpha.server, "GET", f"{V1}/query/profile?user_id={BOB}", expect=400)


async def test_aliases_for_others(alpha: Home, bobs: ForeignServer) -> None:
    _, room = await shared_room(alpha, bobs, room_alias_name="here")
    answer = await bobs.ask(alpha.server, "GET", f"{V1}/query/directory?room_alias=%23here:alpha.example")
    assert answer == {"room_id": room.room_id, "servers": ["alpha.example", "peer.example"]}
    await bobs.ask(alpha.server, "GET", f"{V1}/query/directory?room_alias=%23none:alpha.example", expect=404)


async def test_rooms_are_shown_to_others_only_where_that_is_wanted(alpha: Home, bobs: ForeignServer) -> None:
    await bobs.ask(alpha.server, "GET", f"{V1}/publicRooms", expect=403)


async def test_public_rooms_both_ways(open_alpha: Home, bobs: ForeignServer) -> None:
    alpha = open_alpha
    alice, room = await shared_room(alpha, bobs, visibility="public", name="In public")
    for answer in (
        await bobs.ask(alpha.server, "GET", f"{V1}/publicRooms?limit=5"),
        await bobs.ask(alpha.server, "POST", f"{V1}/publicRooms", {"filter": {"generic_search_term": "public"}}),
    ):
        assert [(each["room_id"], each["name"]) for each in answer["chunk"]] == [(room.room_id, "In public")]
    there = {"room_id": "!r:peer.example", "num_joined_members": 3, "world_readable": False, "guest_can_join": True}
    bobs.peer.says(f"{V1}/publicRooms", {"chunk": [there, 7, {"room_id": "no"}], "next_batch": "n"})
    found = await alice.post("publicRooms", {"limit": 10}, server="peer.example")
    assert (found["chunk"], found["next_batch"]) == ([there], "n")
