"""Bob of beta goes to rooms of alpha: two of our own servers."""

from __future__ import annotations

import asyncio

import pytest

from config.settings import FederationSettings
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.cast import Client, SyncAnswer
from tests.dns import FakeDns
from tests.federation.conftest import ALPHA, BETA, Home, World, running_home

VERSIONS = list(ROOM_VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
async def test_bob_joins_and_both_speak(alpha: Home, beta: Home, version: str) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_version=version, name="hall")
    await alice.send(room_id, "before")
    await bob.sync()
    answer = await bob.post(("join", room_id), via=[ALPHA])
    assert answer == {"room_id": room_id}
    shown = (await bob.sync()).room(room_id)
    state = {(each["type"], each["state_key"]): each["content"] for each in shown["state"]["events"]}
    state |= {(e["type"], e["state_key"]): e["content"] for e in shown["timeline"]["events"] if "state_key" in e}
    assert state["m.room.name", ""]["name"] == "hall"
    assert state["m.room.member", alice.user_id]["membership"] == "join"
    assert state["m.room.member", bob.user_id]["membership"] == "join"
    there = await alice.get(("rooms", room_id, "joined_members"))
    assert bob.user_id in there["joined"]
    await bob.send(room_id, "hello")
    assert "Invalid" not in str(await bob.messages(room_id))


async def has(client: Client, room_id: str, user_id: str, membership: str) -> None:
    """Wait until the client's server knows of it."""

    def told(sync: SyncAnswer) -> bool:
        return any(
            (e.get("state_key"), e["content"].get("membership")) == (user_id, membership)
            for e in sync.timeline(room_id)
        )

    await client.sync_until(told)


async def test_several_join_by_one_handshake(alpha: Home, beta: Home) -> None:
    alice = await alpha.server.register("alice")
    bobs = [await beta.server.register(f"bob{number}") for number in range(4)]
    room_id = await alice.create_room(preset="public_chat")
    await asyncio.gather(*(bob.post(("join", room_id), via=[ALPHA]) for bob in bobs))
    for bob in bobs:
        assert await bob.state(room_id, "m.room.member", bob.user_id)
    members = (await bobs[0].get(("rooms", room_id, "joined_members")))["joined"]
    assert set(members) == {alice.user_id, *(bob.user_id for bob in bobs)}


async def test_an_alias_of_another_server_is_a_way_in(alpha: Home, beta: Home, dns: FakeDns) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_alias_name="hall")
    found = await bob.get(("directory", "room", f"#hall:{ALPHA}"))
    assert found == {"room_id": room_id, "servers": [ALPHA]}
    assert await bob.post(("join", f"#hall:{ALPHA}")) == {"room_id": room_id}
    await bob.get(("directory", "room", f"#nowhere:{ALPHA}"), expect=(404, "M_NOT_FOUND"))
    await bob.get(("directory", "room", "#hall:nobody.example"), expect=502)
    await bob.get(("directory", "room", f"#nowhere:{BETA}"), expect=(404, "M_NOT_FOUND"))
    asked = len(dns.asked)
    await bob.get(("directory", "room", "#hall:nobody.example"), expect=502)
    assert len(dns.asked) == asked, "what failed a moment ago is not tried again for everybody who asks"
    mine = await alice.get(("directory", "room", f"#hall:{ALPHA}"))
    assert mine["servers"] == [ALPHA, BETA]


async def test_who_joins_by_alias_comes_where_it_points_now(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    old, new = [await alice.create_room(preset="public_chat") for _ in range(2)]
    path, hall = ("directory", "room", f"#hall:{ALPHA}"), ("join", f"#hall:{ALPHA}")
    await alice.put(path, {"room_id": old})
    assert (await bob.get(path))["room_id"] == old
    await alice.delete(path)
    await alice.put(path, {"room_id": new})
    assert await bob.post(hall) == {"room_id": new}
    # Everybody who looks is told what was found last.
    assert (await bob.get(path))["room_id"] == new


async def test_who_is_not_let_in_hears_why(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    closed = await alice.create_room(preset="private_chat")
    await bob.post(("join", closed), via=[ALPHA], expect=(403, "M_FORBIDDEN"))
    await bob.post(("join", f"!nowhere:{ALPHA}"), via=[ALPHA], expect=(404, "M_NOT_FOUND"))
    # Nobody is named who could know it.
    await bob.post(("join", f"!nowhere:{BETA}"), expect=(404, "M_NOT_FOUND"))
    await bob.post(("rooms", "nonsense", "join"), expect=(404, "M_NOT_FOUND"))
    await bob.post(("join", closed), via=[*["no name/", "nobody.example"] * 30, ALPHA], expect=(403, "M_FORBIDDEN"))


async def test_a_server_that_does_not_answer_is_passed_by(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.post(("join", room_id), via=["nobody.example"], server_name=[ALPHA])
    assert await bob.state(room_id, "m.room.member", alice.user_id)


async def test_a_server_that_is_back_lets_in_at_once(alpha: Home, beta: Home) -> None:
    """It has failed before and is left alone for a while; whoever wants to come in now does not wait for that."""
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    pauses = beta.server.application.federation.client.pauses
    for name in ("one.example", "two.example", ALPHA):
        pauses.failed(name)
    # Of several that have failed, two are asked; those that have not go first.
    await bob.post(("join", room_id), via=["one.example", "two.example", ALPHA], expect=502)
    await bob.post(("join", room_id), via=["one.example", ALPHA])
    assert pauses.retry_at_ms(ALPHA) == 0
    await bob.state(room_id, "m.room.member", bob.user_id)


async def test_guests_stay_at_home(alpha: Home, beta: Home) -> None:
    alice, guest = await alpha.server.register("alice"), await beta.server.guest()
    room_id = await alice.create_room(preset="public_chat")
    await guest.post(("join", room_id), via=[ALPHA], expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))


async def test_bob_comes_back_after_he_has_left(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.post(("join", room_id), via=[ALPHA])
    await bob.leave(room_id)
    await has(alice, room_id, bob.user_id, "leave")
    await alice.set_state(room_id, "m.room.topic", {"topic": "while he was away"})
    # The server of the room is known from before.
    await bob.post(("rooms", room_id, "join"))
    assert (await bob.state(room_id, "m.room.topic"))["topic"] == "while he was away"


@pytest.mark.parametrize("version", ["8", "10", "12"])
async def test_membership_elsewhere_opens_a_room_of_another_server(alpha: Home, beta: Home, version: str) -> None:
    alice = await alpha.server.register("alice")
    bob, carol = await beta.server.register("bob"), await beta.server.register("carol")
    club = await alice.create_room(preset="public_chat", room_version=version)
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    hall = await alice.create_room(
        room_version=version, initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": rules}]
    )
    await bob.post(("join", hall), via=[ALPHA], expect=(403, "M_FORBIDDEN"))
    for each in (bob, carol):
        await each.post(("join", club), via=[ALPHA])
    await bob.post(("join", hall), via=[ALPHA])
    join = await bob.state(hall, "m.room.member", bob.user_id)
    assert join["join_authorised_via_users_server"] == alice.user_id
    # Beta is in the room now, but none of its users may let anybody in: alice's server does.
    await alice.set_state(hall, "m.room.power_levels", {**await alice.state(hall, "m.room.power_levels"), "invite": 50})
    await bob.sync_until(lambda sync: any(e["type"] == "m.room.power_levels" for e in sync.timeline(hall)))
    await carol.post(("join", hall))
    assert (await carol.state(hall, "m.room.member", carol.user_id))["membership"] == "join"
    assert (await alice.state(hall, "m.room.member", carol.user_id))["membership"] == "join"


async def test_whom_bob_shares_a_room_with_now_is_in_his_device_lists(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.sync()
    await bob.post(("join", room_id), via=[ALPHA])
    assert alice.user_id in (await bob.sync())["device_lists"]["changed"]


async def test_settings_are_carried_into_the_successor_of_a_room(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    old = await alice.create_room(preset="public_chat")
    await bob.post(("join", old), via=[ALPHA])
    await bob.put(("user", bob.user_id, "rooms", old, "tags", "u.work"), {"order": 0.5})
    new = (await alice.post(("rooms", old, "upgrade"), {"new_version": "11"}))["replacement_room"]
    await bob.sync_until(lambda sync: any(each["type"] == "m.room.tombstone" for each in sync.timeline(old)))
    await bob.post(("join", new), via=[ALPHA])
    assert "u.work" in (await bob.get(("user", bob.user_id, "rooms", new, "tags")))["tags"]


async def test_without_federation_there_is_nothing_elsewhere(alpha: Home, world: World) -> None:
    alice = await alpha.server.register("alice")
    room_id = await alice.create_room(preset="public_chat", room_alias_name="hall")
    off = FederationSettings(enabled=False)
    async with running_home("gamma.example", 3, world, federation=off) as gamma:
        carol = await gamma.server.register("carol")
        own = await carol.create_room()
        await carol.post(("join", room_id), via=[ALPHA], expect=(404, "M_NOT_FOUND"))
        await carol.post(("knock", room_id), via=[ALPHA], expect=(404, "M_NOT_FOUND"))
        await carol.post(("join", f"#hall:{ALPHA}"), expect=(404, "M_NOT_FOUND"))
        await carol.invite(own, alice, expect=(403, "M_FORBIDDEN"))
        await carol.post("createRoom", {"invite": [alice.user_id]}, expect=(403, "M_FORBIDDEN"))
        await carol.leave(room_id, expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("way", ["kick", "ban"])
async def test_who_was_put_out_comes_back_when_he_may(alpha: Home, beta: Home, way: str) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.post(("join", room_id), via=[ALPHA])
    await bob.sync()
    await alice.post(("rooms", room_id, way), {"user_id": bob.user_id})
    await bob.sync_until(lambda sync: sync.room(room_id, "leave"))
    if way == "ban":
        await bob.post(("join", room_id), via=[ALPHA], expect=(403, "M_FORBIDDEN"))
        await alice.post(("rooms", room_id, "unban"), {"user_id": bob.user_id})
    await bob.post(("join", room_id), via=[ALPHA])
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "join"
    assert (await bob.sync()).room(room_id)
