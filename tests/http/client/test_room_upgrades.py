"""The same room once more, in another room version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server


async def state_of(client: Client, room_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    events = await client.get(("rooms", room_id, "state"))
    return {(each["type"], each["state_key"]): each for each in events}


async def upgrade(client: Client, room_id: str, version: str, **body: Any) -> str:
    answer = await client.post(("rooms", room_id, "upgrade"), {"new_version": version, **body})
    new_room_id: str = answer["replacement_room"]
    return new_room_id


@pytest.mark.parametrize(
    ("old", "new"), [("1", "12"), ("9", "11"), ("11", "12"), ("12", "12"), ("12", "10"), ("6", "1")]
)
async def test_the_new_room_is_like_the_old_one(server: Server, old: str, new: str) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(
        room_version=old,
        visibility="public",
        name="The Pub",
        topic="Beer",
        room_alias_name="pub",
        creation_content={"type": "m.space", "m.federate": False},
        initial_state=[
            {"type": "m.room.avatar", "content": {"url": "mxc://test/avatar"}},
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "m.space.child", "state_key": "!child:test", "content": {"via": ["test"]}},
        ],
    )
    await bob.join(room_id)
    await alice.post(("rooms", room_id, "ban"), {"user_id": mallory.user_id, "reason": "spam"})
    levels = await alice.state(room_id, "m.room.power_levels")
    await alice.set_state(
        room_id, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 50}, "ban": 40}
    )

    new_room_id = await upgrade(alice, room_id, new)

    before, after = await state_of(alice, room_id), await state_of(alice, new_room_id)
    create = after["m.room.create", ""]["content"]
    assert (create["room_version"], create["type"], create["m.federate"]) == (new, "m.space", False)
    assert create["predecessor"]["room_id"] == room_id
    tombstone = before["m.room.tombstone", ""]
    assert tombstone["content"]["replacement_room"] == new_room_id
    if new != "12":
        assert create["predecessor"]["event_id"] == tombstone["event_id"]
    for event_type in ("name", "topic", "avatar", "encryption", "join_rules", "history_visibility"):
        key = (f"m.room.{event_type}", "")
        assert after[key]["content"] == before[key]["content"], key
    assert after["m.room.guest_access", ""]["content"] == {"guest_access": "forbidden"}
    assert after["m.space.child", "!child:test"]["content"] == {"via": ["test"]}
    assert after["m.room.member", mallory.user_id]["content"] == {"membership": "ban", "reason": "spam"}
    assert ("m.room.member", bob.user_id) not in after

    new_levels = after["m.room.power_levels", ""]["content"]
    assert (new_levels["users"][bob.user_id], new_levels["ban"]) == (50, 40)
    assert (alice.user_id in new_levels["users"]) == (new != "12")
    if new == "12":
        assert new_levels["events"]["m.room.tombstone"] == 150
    restricted = before["m.room.power_levels", ""]["content"]
    assert (restricted["events_default"], restricted["invite"]) == (50, 50)

    assert (await bob.get(("directory", "room", "#pub:test")))["room_id"] == new_room_id
    assert after["m.room.canonical_alias", ""]["content"] == {"alias": "#pub:test"}
    assert before["m.room.canonical_alias", ""]["content"] == {}
    assert [room["room_id"] for room in (await bob.get("publicRooms"))["chunk"]] == [new_room_id]
    await bob.join(new_room_id)


async def test_only_those_with_power_upgrade(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat", room_version="11")
    path = ("rooms", room_id, "upgrade")
    await mallory.post(path, {"new_version": "12"}, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    await mallory.post(path, {"new_version": "12"}, expect=(403, "M_FORBIDDEN"))
    await mallory.post(("rooms", "!nowhere:test", "upgrade"), {"new_version": "12"}, expect=(404, "M_NOT_FOUND"))
    await alice.post(path, {"new_version": "wonderland"}, expect=(400, "M_UNSUPPORTED_ROOM_VERSION"))
    await alice.post(path, {}, expect=(400, "M_MISSING_PARAM"))
    assert ("m.room.tombstone", "") not in await state_of(alice, room_id)


async def test_creators_are_named_anew(server: Server) -> None:
    alice, bob, eve = [await server.register(name) for name in ("alice", "bob", "eve")]
    room_id = await alice.create_room(creation_content={"additional_creators": [bob.user_id]})
    new_room_id = await upgrade(alice, room_id, "12", additional_creators=[eve.user_id])
    create = (await state_of(alice, new_room_id))["m.room.create", ""]["content"]
    assert create["additional_creators"] == [eve.user_id]
    ignored = await upgrade(alice, await alice.create_room(room_version="10"), "11", additional_creators=[eve.user_id])
    assert "additional_creators" not in (await state_of(alice, ignored))["m.room.create", ""]["content"]
    path = ("rooms", new_room_id, "upgrade")
    await alice.post(path, {"new_version": "12", "additional_creators": ["x"]}, expect=(400, "M_INVALID_PARAM"))


async def test_creators_become_leaders_where_there_are_no_creators(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(creation_content={"additional_creators": [bob.user_id]})
    levels = (await state_of(alice, await upgrade(alice, room_id, "11")))["m.room.power_levels", ""]["content"]
    assert levels["users"] == {alice.user_id: 150, bob.user_id: 150}


async def test_a_moderator_who_may_upgrade_stays_a_moderator(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(
        preset="public_chat",
        room_version="10",
        power_level_content_override={
            "users": {alice.user_id: 100, bob.user_id: 50},
            "events": {"m.room.tombstone": 50},
        },
    )
    await bob.join(room_id)
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"]})
    state = await state_of(bob, new_room_id := await upgrade(bob, room_id, "11"))
    assert state["m.room.power_levels", ""]["content"]["users"] == {alice.user_id: 100, bob.user_id: 50}
    assert state["m.room.server_acl", ""]["content"] == {"allow": ["*"]}
    await alice.join(new_room_id)


async def test_join_rules_that_an_old_version_does_not_know_become_invitations(server: Server) -> None:
    alice = await server.register("alice")
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock_restricted", "allow": []}}
    room_id = await alice.create_room(initial_state=[rules])
    state = await state_of(alice, await upgrade(alice, room_id, "9"))
    assert state["m.room.join_rules", ""]["content"] == {"join_rule": "invite"}


async def test_levels_written_as_text_become_numbers(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(room_version="5")
    levels = await alice.state(room_id, "m.room.power_levels")
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "ban": "60", "users": {alice.user_id: "100"}})
    for version in ("11", "12"):
        new = (await state_of(alice, await upgrade(alice, room_id, version)))["m.room.power_levels", ""]["content"]
        assert new["ban"] == 60


async def test_settings_follow_into_the_new_room(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_version="11")
    await bob.join(room_id)
    for user in (alice, bob):
        await user.put(("user", user.user_id, "rooms", room_id, "tags", "m.favourite"), {"order": 0.5})
    await bob.put(
        ("user", bob.user_id, "account_data", "m.direct"), {alice.user_id: [room_id], "@eve:test": ["!x:test"]}
    )
    await bob.put(("pushrules", "global", "room", room_id), {"actions": []})
    mute = {"actions": [], "conditions": [{"kind": "event_match", "key": "room_id", "pattern": room_id}]}
    await bob.put(("pushrules", "global", "override", room_id), mute)

    new_room_id = await upgrade(alice, room_id, "12")
    await bob.join(new_room_id)

    for user in (alice, bob):
        tags = await user.get(("user", user.user_id, "rooms", new_room_id, "tags"))
        assert tags == {"tags": {"m.favourite": {"order": 0.5}}}
    direct = await bob.get(("user", bob.user_id, "account_data", "m.direct"))
    assert direct == {alice.user_id: [room_id, new_room_id], "@eve:test": ["!x:test"]}
    assert (await bob.get(("pushrules", "global", "room", new_room_id)))["actions"] == []
    override = await bob.get(("pushrules", "global", "override", new_room_id))
    assert override["conditions"] == [{"kind": "event_match", "key": "room_id", "pattern": new_room_id}]


async def test_a_room_that_only_claims_to_follow_another_gets_nothing(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    await alice.put(("user", alice.user_id, "rooms", room_id, "tags", "m.favourite"), {})
    claimed = {"predecessor": {"room_id": room_id}}
    trap = await mallory.create_room(preset="public_chat", creation_content=claimed)
    await alice.join(trap)
    assert await alice.get(("user", alice.user_id, "rooms", trap, "tags")) == {"tags": {}}


async def test_a_room_is_not_its_own_successor(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    circle = {"body": "round and round", "replacement_room": room_id}
    for path in (("send", "m.room.tombstone", "t1"), ("state", "m.room.tombstone", "")):
        await alice.put(("rooms", room_id, *path), circle, expect=(400, "M_INVALID_PARAM"))
