"""Alice makes rooms."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.settings import RoomSettings, Settings
from tests.cast import Client, Server
from tests.homeserver import server_settings

VERSIONS = [str(number) for number in range(1, 13)]
CREATE_STATEMENTS = 20


async def state_of(client: Client, room_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    events = await client.get(("rooms", room_id, "state"))
    return {(each["type"], each["state_key"]): each["content"] for each in events}


async def test_alice_makes_a_room_and_bob_joins_it(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", name="The pub", topic="Everything", room_alias_name="pub")
    assert (await bob.join("#pub:test")) == {"room_id": room_id}
    assert await bob.send(room_id, "hello")


async def test_two_rooms_of_the_same_moment_are_two_rooms(server: Server) -> None:
    alice = await server.register("alice")
    rooms = await asyncio.gather(*(alice.create_room() for _ in range(4)))
    assert len(set(rooms)) == 4


@pytest.mark.parametrize("version", VERSIONS)
async def test_rooms_of_every_version(server: Server, version: str) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(room_version=version, preset="public_chat", invite=[bob.user_id])
    await bob.join(room_id)
    await bob.send(room_id, "hello")
    state = await state_of(alice, room_id)
    create = state["m.room.create", ""]
    assert create["room_version"] == version
    assert ("creator" in create) == (int(version) <= 10)
    assert room_id.endswith(":test") == (version != "12")
    assert (alice.user_id in state["m.room.power_levels", ""]["users"]) == (version != "12")
    # Alice leads, in every version.
    await alice.set_state(room_id, "m.room.power_levels", {**state["m.room.power_levels", ""], "ban": 60})


async def test_a_room_of_version_12_is_named_by_its_create_event(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    events = await alice.get(("rooms", room_id, "state"))
    create = next(each for each in events if each["type"] == "m.room.create")
    assert room_id == "!" + create["event_id"][1:]
    assert create["content"] == {"room_version": "12"}


@pytest.mark.parametrize(
    ("preset", "join_rule", "guest_access"),
    [
        ("private_chat", "invite", "can_join"),
        ("trusted_private_chat", "invite", "can_join"),
        ("public_chat", "public", None),
    ],
)
async def test_presets(server: Server, preset: str, join_rule: str, guest_access: str | None) -> None:
    alice = await server.register("alice")
    state = await state_of(alice, await alice.create_room(preset=preset))
    assert state["m.room.join_rules", ""] == {"join_rule": join_rule}
    # Without an event guests may not join.
    assert state.get(("m.room.guest_access", "")) == (guest_access and {"guest_access": guest_access})
    assert state["m.room.history_visibility", ""] == {"history_visibility": "shared"}


async def test_without_a_preset_the_visibility_decides(server: Server) -> None:
    alice = await server.register("alice")
    for visibility, join_rule in (("public", "public"), ("private", "invite"), (None, "invite")):
        state = await state_of(alice, await alice.create_room(visibility=visibility))
        assert state["m.room.join_rules", ""] == {"join_rule": join_rule}


async def test_trusted_people_lead_the_room_too(server: Server) -> None:
    alice, bob, eve = [await server.register(name) for name in ("alice", "bob", "eve")]
    invite = {"preset": "trusted_private_chat", "invite": [bob.user_id]}
    state = await state_of(alice, await alice.create_room(room_version="11", **invite))
    assert state["m.room.power_levels", ""]["users"] == {alice.user_id: 100, bob.user_id: 100}
    wished = {"additional_creators": [bob.user_id, eve.user_id]}
    state = await state_of(alice, await alice.create_room(creation_content=wished, **invite))
    assert state["m.room.create", ""]["additional_creators"] == [bob.user_id, eve.user_id]
    assert state["m.room.power_levels", ""]["users"] == {}


async def test_members_may_join_calls_and_only_creators_end_a_room(server: Server) -> None:
    alice = await server.register("alice")
    levels = (await state_of(alice, await alice.create_room()))["m.room.power_levels", ""]
    for event_type in ("m.rtc.member", "org.matrix.msc3401.call.member", "org.matrix.msc4143.rtc.member"):
        assert levels["events"][event_type] == levels["users_default"] == 0
    assert levels["events"]["m.room.tombstone"] > max(100, levels["state_default"])


async def test_events_come_in_the_order_of_the_specification(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(
        name="Name",
        topic="Topic",
        room_alias_name="alias",
        invite=[bob.user_id],
        initial_state=[
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
            {"type": "m.room.name", "content": {"name": "Overwritten"}},
        ],
    )
    events = (await alice.messages(room_id, dir="f", limit=50))["chunk"]
    assert [each["type"].removeprefix("m.room.") for each in events] == [
        "create",
        "member",
        "power_levels",
        "canonical_alias",
        "join_rules",
        "guest_access",
        "encryption",
        "history_visibility",
        "name",
        "name",
        "topic",
        "member",
    ]
    state = await state_of(alice, room_id)
    assert state["m.room.name", ""] == {"name": "Name"}
    assert state["m.room.topic", ""] == {"topic": "Topic", "m.topic": {"m.text": [{"body": "Topic"}]}}
    assert state["m.room.canonical_alias", ""] == {"alias": "#alias:test"}


async def test_wishes_about_the_create_event(server: Server) -> None:
    alice = await server.register("alice")
    wished = {"m.federate": False, "type": "m.space", "creator": "@eve:test", "room_version": "1"}
    create = (await state_of(alice, await alice.create_room(creation_content=wished)))["m.room.create", ""]
    assert create == {"m.federate": False, "type": "m.space", "room_version": "12"}


async def test_power_levels_are_overridden_at_the_top(server: Server) -> None:
    alice = await server.register("alice")
    levels = await state_of(alice, await alice.create_room(power_level_content_override={"invite": 7, "events": {}}))
    assert (levels["m.room.power_levels", ""]["invite"], levels["m.room.power_levels", ""]["events"]) == (7, {})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"room_version": "wonderland"}, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"room_version": ""}, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"room_version": 12}, "M_BAD_JSON"),
        ({"preset": "secret_chat"}, "M_BAD_JSON"),
        ({"visibility": "loud"}, "M_BAD_JSON"),
        ({"name": ["x"]}, "M_BAD_JSON"),
        ({"invite": "@bob:test"}, "M_BAD_JSON"),
        ({"invite": ["bob"]}, "M_INVALID_PARAM"),
        ({"invite": [f"@user{number}:test" for number in range(300)]}, "M_INVALID_PARAM"),
        ({"room_alias_name": "a b"}, "M_INVALID_PARAM"),
        ({"room_alias_name": "a:b"}, "M_INVALID_PARAM"),
        ({"room_alias_name": "x" * 300}, "M_INVALID_PARAM"),
        ({"creation_content": {"additional_creators": ["x"]}}, "M_INVALID_PARAM"),
        ({"creation_content": {"additional_creators": "@bob:test"}}, "M_INVALID_PARAM"),
        ({"creation_content": []}, "M_BAD_JSON"),
        ({"creation_content": {"n": 1.5}}, "M_BAD_JSON"),
        ({"initial_state": [{"type": "m.x"}]}, "M_MISSING_PARAM"),
        ({"initial_state": [{"type": "m.room.create", "content": {}}]}, "M_BAD_JSON"),
        ({"initial_state": [{"type": "m.room.member", "state_key": "@a:test", "content": {}}]}, "M_BAD_JSON"),
        ({"initial_state": [{"type": "m.x", "content": {}}] * 600}, "M_INVALID_PARAM"),
        ({"power_level_content_override": {"users": {"@alice:test": 100}}}, "M_INVALID_ROOM_STATE"),
        ({"power_level_content_override": {"ban": "banana"}}, "M_INVALID_ROOM_STATE"),
        (
            {"room_version": "11", "power_level_content_override": {"users": {"@alice:test": 0}}, "name": "x"},
            "M_INVALID_ROOM_STATE",
        ),
    ],
)
async def test_rooms_that_cannot_be_made(server: Server, body: dict[str, Any], expected: str) -> None:
    alice = await server.register("alice")
    await alice.post("createRoom", body, expect=(400, expected))
    assert (await alice.get("joined_rooms"))["joined_rooms"] == []
    assert await server.application.base.database.fetchval("SELECT count(*) FROM events") == 0


async def test_a_name_that_is_too_long_is_too_large(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post("createRoom", {"name": "x" * 70_000}, expect=(413, "M_TOO_LARGE"))


async def test_an_alias_belongs_to_one_room(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(room_alias_name="tea")
    await alice.post("createRoom", {"room_alias_name": "tea"}, expect=(400, "M_ROOM_IN_USE"))
    assert (await alice.get("joined_rooms"))["joined_rooms"] == [room_id]


async def test_of_two_who_want_the_same_alias_one_gets_a_room(server: Server) -> None:
    alice = await server.register("alice")
    answers = await asyncio.gather(
        *(alice.post("createRoom", {"room_alias_name": "tea"}, expect={200, 400}) for _ in range(4))
    )
    rooms = [answer["room_id"] for answer in answers if "room_id" in answer]
    assert len(rooms) == 1
    assert (await alice.get(("directory", "room", "#tea:test")))["room_id"] == rooms[0]
    assert (await alice.get("joined_rooms"))["joined_rooms"] == rooms


async def test_a_room_costs_few_statements(server: Server) -> None:
    alice = await server.register("alice")
    friends = [await server.register(name) for name in ("bob", "eve", "mallory")]
    await alice.get("account/whoami")
    database = server.application.base.database
    before = database.statements
    await alice.create_room(
        visibility="public",
        name="Name",
        topic="Topic",
        room_alias_name="alias",
        invite=[friend.user_id for friend in friends],
    )
    assert database.statements - before <= CREATE_STATEMENTS
    before = database.statements
    await alice.create_room()
    assert database.statements - before <= 5


class TestAnOlderDefault:
    """`rooms.default_version: "10"`."""

    @pytest.fixture
    def settings(self, tmp_path: Any) -> Settings:
        return server_settings(tmp_path, rooms=RoomSettings(default_version="10"))

    async def test_the_setting_decides(self, server: Server) -> None:
        alice = await server.register("alice")
        state = await state_of(alice, await alice.create_room())
        assert state["m.room.create", ""] == {"room_version": "10", "creator": alice.user_id}
