"""Names of rooms."""

from __future__ import annotations

import pytest

from config.settings import RoomSettings, Settings
from tests.cast import Server
from tests.homeserver import server_settings


async def test_alice_names_her_room(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    path = ("directory", "room", "#tea:test")
    await server.anonymous().get(path, expect=(404, "M_NOT_FOUND"))
    await bob.put(path, {"room_id": room_id}, expect=(403, "M_FORBIDDEN"))
    await bob.put(path, {"room_id": "!nowhere:test"}, expect=(403, "M_FORBIDDEN"))
    await alice.put(path, {"room_id": room_id})
    await alice.put(path, {"room_id": room_id}, expect=409)
    assert await server.anonymous().get(path) == {"room_id": room_id, "servers": ["test"]}
    assert await alice.get(("rooms", room_id, "aliases")) == {"aliases": ["#tea:test"]}


@pytest.mark.parametrize("alias", ["tea", "#tea", "#tea:elsewhere.org", "#:test", "#a b:test", f"#{'x' * 255}:test"])
async def test_what_is_no_alias_here_is_refused(server: Server, alias: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.put(("directory", "room", alias), {"room_id": room_id}, expect=(400, "M_INVALID_PARAM"))


async def test_a_body_without_a_room_is_refused(server: Server) -> None:
    alice = await server.register("alice")
    path = ("directory", "room", "#tea:test")
    await alice.put(path, {}, expect=(400, "M_MISSING_PARAM"))
    await alice.put(path, {"room_id": 7}, expect=(400, "M_BAD_JSON"))
    await alice.put(path, {"room_id": "nonsense"}, expect=(400, "M_INVALID_PARAM"))


async def test_makers_and_moderators_take_an_alias_away(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(preset="public_chat")
    for user in (bob, mallory):
        await user.join(room_id)
    for name in ("one", "two"):
        await bob.put(("directory", "room", f"#{name}:test"), {"room_id": room_id})
        await mallory.delete(("directory", "room", f"#{name}:test"), expect=(403, "M_FORBIDDEN"))
    await bob.delete(("directory", "room", "#one:test"))
    await alice.delete(("directory", "room", "#two:test"))
    await alice.delete(("directory", "room", "#two:test"), expect=(404, "M_NOT_FOUND"))
    await alice.delete(("directory", "room", "nonsense"), expect=(400, "M_INVALID_PARAM"))


async def test_a_deleted_alias_is_no_main_alias_any_more(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(room_alias_name="tea")
    await alice.put(("directory", "room", "#coffee:test"), {"room_id": room_id})
    content = {"alias": "#tea:test", "alt_aliases": ["#coffee:test"]}
    await alice.set_state(room_id, "m.room.canonical_alias", content)
    await alice.delete(("directory", "room", "#coffee:test"))
    assert await alice.state(room_id, "m.room.canonical_alias") == {"alias": "#tea:test", "alt_aliases": []}
    await alice.delete(("directory", "room", "#tea:test"))
    assert await alice.state(room_id, "m.room.canonical_alias") == {"alt_aliases": []}


async def test_the_main_alias_must_point_to_the_room(server: Server) -> None:
    alice = await server.register("alice")
    room_id, other = await alice.create_room(room_alias_name="tea"), await alice.create_room(room_alias_name="pub")

    async def choose(content: object, expect: object = 200) -> None:
        await alice.set_state(room_id, "m.room.canonical_alias", content, expect=expect)  # type: ignore[arg-type]

    assert other
    await choose({"alias": "#pub:test"}, (400, "M_BAD_ALIAS"))
    await choose({"alias": "#tea:test", "alt_aliases": ["#nothing:test"]}, (400, "M_BAD_ALIAS"))
    await choose({"alias": "nonsense"}, (400, "M_INVALID_PARAM"))
    await choose({"alias": 5}, (400, "M_INVALID_PARAM"))
    await choose({"alt_aliases": "#tea:test"}, (400, "M_INVALID_PARAM"))
    await choose({"alias": "#tea:test"})
    await choose({})
    # What stood there before is not looked at again.
    await choose({"alias": "#tea:test"})
    await server.application.base.database.execute("DELETE FROM room_aliases WHERE alias = '#tea:test'")
    await choose({"alias": "#tea:test", "alt_aliases": ["#tea:test"]})


async def test_aliases_are_told_to_members_and_where_anybody_may_read(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(room_alias_name="tea", preset="public_chat")
    await mallory.get(("rooms", room_id, "aliases"), expect=(403, "M_FORBIDDEN"))
    await mallory.get(("rooms", "!nowhere:test", "aliases"), expect=(403, "M_FORBIDDEN"))
    await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert await mallory.get(("rooms", room_id, "aliases")) == {"aliases": ["#tea:test"]}


class TestWithoutTheMembershipRule:
    """`rooms.require_membership_for_aliases: false`."""

    @pytest.fixture
    def settings(self, tmp_path: object) -> Settings:
        return server_settings(tmp_path, rooms=RoomSettings(require_membership_for_aliases=False))  # type: ignore[arg-type]

    async def test_anybody_names_a_room(self, server: Server) -> None:
        alice, bob = await server.register("alice"), await server.register("bob")
        room_id = await alice.create_room()
        await bob.put(("directory", "room", "#bobs:test"), {"room_id": room_id})
        await bob.put(("directory", "room", "#none:test"), {"room_id": "!nowhere:test"}, expect=(404, "M_NOT_FOUND"))
