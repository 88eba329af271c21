"""Strangers find rooms in the public directory."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import RoomDirectorySettings, Settings
from tests.cast import Client, Server
from tests.homeserver import server_settings


async def listed(client: Client, **body: Any) -> list[str]:
    return [room["room_id"] for room in (await client.post("publicRooms", body))["chunk"]]


async def test_bob_finds_the_pub(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(
        visibility="public", name="The Pub", topic="All about happy hour", room_alias_name="pub"
    )
    await alice.create_room(name="secret")
    assert await bob.get("publicRooms") == {
        "chunk": [
            {
                "room_id": room_id,
                "name": "The Pub",
                "topic": "All about happy hour",
                "canonical_alias": "#pub:test",
                "join_rule": "public",
                "num_joined_members": 1,
                "world_readable": False,
                "guest_can_join": False,
            }
        ],
        "total_room_count_estimate": 1,
    }


async def test_the_directory_follows_its_rooms(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(visibility="public")
    assert (await bob.get("publicRooms"))["chunk"][0]["num_joined_members"] == 1
    await bob.join(room_id)
    await alice.set_state(room_id, "m.room.name", {"name": "Renamed"})
    await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
    room = (await bob.get("publicRooms"))["chunk"][0]
    assert (room["name"], room["num_joined_members"], room["world_readable"]) == ("Renamed", 2, True)
    for user in (alice, bob):
        await user.leave(room_id)
    assert (await bob.get("publicRooms"))["chunk"] == []


async def test_who_may_name_a_room_may_list_it(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    path = ("directory", "list", "room", room_id)
    assert await server.anonymous().get(path) == {"visibility": "private"}
    await mallory.put(path, {"visibility": "public"}, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    await mallory.put(path, {"visibility": "public"}, expect=(403, "M_FORBIDDEN"))
    await alice.put(path, {"visibility": "loud"}, expect=(400, "M_BAD_JSON"))
    await alice.put(path, {})
    assert await server.anonymous().get(path) == {"visibility": "public"}
    assert await listed(mallory) == [room_id]
    await alice.put(path, {"visibility": "private"})
    assert await listed(mallory) == []
    unknown = ("directory", "list", "room", "!nowhere:test")
    await alice.put(unknown, {}, expect=(404, "M_NOT_FOUND"))
    await alice.get(unknown, expect=(404, "M_NOT_FOUND"))


async def test_pages_go_forwards_and_backwards(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = [await alice.create_room(visibility="public", name=str(number)) for number in range(5)]
    await bob.join(rooms[3])
    order = [rooms[3], rooms[0], rooms[1], rooms[2], rooms[4]]
    first = await bob.get("publicRooms", limit=2)
    assert [room["room_id"] for room in first["chunk"]] == order[:2]
    assert "prev_batch" not in first
    assert first["total_room_count_estimate"] == 5
    second = await bob.get("publicRooms", limit=2, since=first["next_batch"])
    assert [room["room_id"] for room in second["chunk"]] == order[2:4]
    third = await bob.post("publicRooms", {"limit": 2, "since": second["next_batch"]})
    assert [room["room_id"] for room in third["chunk"]] == order[4:]
    assert "next_batch" not in third
    back = await bob.get("publicRooms", limit=2, since=second["prev_batch"])
    assert [room["room_id"] for room in back["chunk"]] == order[:2]
    for bad in ("x", "n1", "n-1.2"):
        await bob.get("publicRooms", since=bad, expect=(400, "M_INVALID_PARAM"))
    await bob.get("publicRooms", limit=-1, expect=(400, "M_INVALID_PARAM"))
    await bob.post("publicRooms", {"limit": -1}, expect=(400, "M_INVALID_PARAM"))


async def test_rooms_are_searched_by_words_and_by_type(server: Server) -> None:
    alice = await server.register("alice")
    tea = await alice.create_room(visibility="public", name="Tea Room", topic="Grün und schwarz")
    pub = await alice.create_room(visibility="public", room_alias_name="tearaway")
    space = await alice.create_room(visibility="public", creation_content={"type": "m.space"}, name="Space")
    assert await listed(alice, filter={"generic_search_term": "TEA"}) == [tea, pub]
    assert await listed(alice, filter={"generic_search_term": "GRÜN"}) == [tea]
    assert await listed(alice, filter={"room_types": ["m.space"]}) == [space]
    assert await listed(alice, filter={"room_types": [None]}) == [tea, pub]
    assert await listed(alice, filter={"room_types": [None, "m.space"], "generic_search_term": "room"}) == [tea]
    assert await listed(alice, filter={"room_types": []}) == []
    await alice.post("publicRooms", {"filter": {"room_types": "m.space"}}, expect=(400, "M_BAD_JSON"))
    await alice.post("publicRooms", {"filter": {"generic_search_term": "x" * 2000}}, expect=(400, "M_INVALID_PARAM"))


async def test_a_room_with_odd_state_hurts_nobody(server: Server) -> None:
    alice = await server.register("alice")
    odd = [
        {"type": "m.room.name", "content": {"name": {"a": 1}}},
        {"type": "m.room.topic", "content": {"topic": 7, "m.topic": {"m.text": "x"}}},
        {"type": "m.room.avatar", "content": {"url": ["x"]}},
        {"type": "m.room.canonical_alias", "content": {"alias": "#x"}},
    ]
    room_id = await alice.create_room(visibility="public", initial_state=odd, creation_content={"type": 5})
    assert await listed(alice) == [room_id]


async def test_other_servers_and_strangers_are_sent_away(server: Server) -> None:
    alice = await server.register("alice")
    await alice.get("publicRooms", server="test")
    await alice.get("publicRooms", server="nowhere.invalid", expect=(502, "M_CONNECTION_FAILED"))
    await server.anonymous().get("publicRooms", expect=(401, "M_MISSING_TOKEN"))


async def test_the_directory_is_read_again_when_a_process_starts(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(visibility="public", name="Kept")
    database = server.application.base.database
    published = server.application.rooms.directory.published
    published._facts = None
    before = database.statements
    assert (await alice.get("publicRooms"))["chunk"][0]["name"] == "Kept"
    assert database.statements - before == 2
    assert await listed(alice) == [room_id]
    assert database.statements - before == 2


class TestAPublicDirectoryOfAdministrators:
    """`public_without_auth: true, allow_publish: false`."""

    @pytest.fixture
    def settings(self, tmp_path: Any) -> Settings:
        rules = RoomDirectorySettings(public_without_auth=True, allow_publish=False)
        return server_settings(tmp_path, room_directory=rules)

    async def test_anybody_reads_and_nobody_lists(self, server: Server) -> None:
        alice = await server.register("alice")
        await alice.post("createRoom", {"visibility": "public"}, expect=(403, "M_FORBIDDEN"))
        room_id = await alice.create_room(preset="public_chat")
        path = ("directory", "list", "room", room_id)
        await alice.put(path, {"visibility": "public"}, expect=(403, "M_FORBIDDEN"))
        await alice.put(path, {"visibility": "private"})
        assert (await server.anonymous().get("publicRooms"))["chunk"] == []
