"""Alice arranges rooms in spaces; Bob looks around in them."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

SPACE = {"creation_content": {"type": "m.space"}}


async def put_in(owner: Client, space: str, room: str, **content: Any) -> None:
    await owner.set_state(space, "m.space.child", {"via": ["test"], **content}, room)


async def look(client: Client, space: str, **query: Any) -> Any:
    return await client.get(f"/_matrix/client/v1/rooms/{space}/hierarchy", **query)


async def seen(client: Client, space: str, **query: Any) -> list[str]:
    return [room["room_id"] for room in (await look(client, space, **query))["rooms"]]


async def public(owner: Client, name: str, **body: Any) -> str:
    return await owner.create_room(preset="public_chat", name=name, **body)


async def test_a_tree_depth_first(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    space, inner = await public(alice, "Space", **SPACE), await public(alice, "Inner", **SPACE)
    first, last, deep = (
        await public(alice, "First"),
        await public(alice, "Last", topic="the end"),
        await public(alice, "Deep"),
    )
    await put_in(alice, space, last, order="c")
    await put_in(alice, space, inner, order="b", suggested=True)
    await put_in(alice, space, first, order="a")
    await put_in(alice, inner, deep)
    answer = await look(bob, space)
    assert [room["room_id"] for room in answer["rooms"]] == [space, first, inner, deep, last]
    assert "next_batch" not in answer
    top, *_, end = answer["rooms"]
    assert top["room_type"] == "m.space"
    assert [child["state_key"] for child in top["children_state"]] == [first, inner, last]
    assert top["children_state"][1]["content"] == {"via": ["test"], "order": "b", "suggested": True}
    assert (end["name"], end["topic"], end["num_joined_members"], end["children_state"]) == ("Last", "the end", 1, [])
    assert (end["join_rule"], end["room_version"]) == ("public", "12")


async def test_suggested_rooms_only_and_only_so_deep(server: Server) -> None:
    alice = await server.register("alice")
    space, inner, room = await public(alice, "S", **SPACE), await public(alice, "I", **SPACE), await public(alice, "R")
    await put_in(alice, space, inner, suggested=True)
    await put_in(alice, space, await public(alice, "other"))
    await put_in(alice, inner, room, suggested=True)
    assert await seen(alice, space, suggested_only=True) == [space, inner, room]
    assert await seen(alice, space, suggested_only=True, max_depth=1) == [space, inner]
    assert await seen(alice, space, max_depth=0) == [space]


async def test_pages(server: Server) -> None:
    alice = await server.register("alice")
    space = await public(alice, "S", **SPACE)
    rooms = [await public(alice, str(number)) for number in range(5)]
    for number, room in enumerate(rooms):
        await put_in(alice, space, room, order=str(number))
    found, token = [], None
    for _ in range(3):
        page = await look(alice, space, limit=2, max_depth=3, **({"from": token} if token else {}))
        found += [room["room_id"] for room in page["rooms"]]
        token = page.get("next_batch")
    assert (found, token) == ([space, *rooms], None)
    token = (await look(alice, space, limit=2, max_depth=3))["next_batch"]
    for changed in ({"max_depth": 2}, {"max_depth": 3, "suggested_only": True}, {"max_depth": 5}):
        path = f"/_matrix/client/v1/rooms/{space}/hierarchy"
        await alice.get(path, expect=(400, "M_INVALID_PARAM"), **{"from": token, **changed})
    for bad in ("x", "h1_2", "h99999_1_0", "h1_99_0", "h1_1_2", "h-1_1_0"):
        await alice.get(f"/_matrix/client/v1/rooms/{space}/hierarchy", expect=(400, "M_INVALID_PARAM"), **{"from": bad})
    for bad_query in ({"limit": 0}, {"limit": "x"}, {"max_depth": -1}):
        await alice.get(f"/_matrix/client/v1/rooms/{space}/hierarchy", expect=400, **bad_query)


async def test_loops_end(server: Server) -> None:
    alice = await server.register("alice")
    space, inner = await public(alice, "S", **SPACE), await public(alice, "I", **SPACE)
    await put_in(alice, space, inner)
    await put_in(alice, inner, space)
    await put_in(alice, space, space)
    assert await seen(alice, space) == [space, inner]


async def test_who_may_see_a_room(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    space = await public(alice, "S", **SPACE)
    rooms = {
        "private": await alice.create_room(preset="private_chat"),
        "invited": await alice.create_room(preset="private_chat", invite=[bob.user_id]),
        "knock": await alice.create_room(preset="private_chat"),
        "old knock": await alice.create_room(preset="private_chat", room_version="6"),
        "readable": await alice.create_room(preset="private_chat"),
        "restricted": await alice.create_room(preset="private_chat"),
        "banned": await public(alice, "B"),
    }
    await alice.set_state(rooms["knock"], "m.room.join_rules", {"join_rule": "knock"})
    await alice.set_state(rooms["old knock"], "m.room.join_rules", {"join_rule": "knock"}, expect={200, 400, 403})
    await alice.set_state(rooms["readable"], "m.room.history_visibility", {"history_visibility": "world_readable"})
    allow = [{"type": "m.room_membership", "room_id": space}]
    await alice.set_state(rooms["restricted"], "m.room.join_rules", {"join_rule": "restricted", "allow": allow})
    await alice.ban(rooms["banned"], bob)
    for order, room in rooms.items():
        await put_in(alice, space, room, order=order)
    names = {room: name for name, room in rooms.items()} | {space: "space"}
    found = [names[room] for room in await seen(bob, space)]
    assert found == ["space", "invited", "knock", "readable"]
    await bob.join(space)
    answer = await look(bob, space)
    found = [names[room["room_id"]] for room in answer["rooms"]]
    assert found == ["space", "invited", "knock", "readable", "restricted"]
    assert answer["rooms"][-1]["allowed_room_ids"] == [space]
    assert len(await seen(alice, space)) == 8


async def test_a_space_that_nobody_shows(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    space = await alice.create_room(preset="private_chat", **SPACE)
    for room in (space, "!nothing:test", "!nothing:elsewhere.org", "nonsense"):
        await bob.get(f"/_matrix/client/v1/rooms/{room}/hierarchy", expect=(403, "M_FORBIDDEN"))
    assert await seen(alice, space) == [space]


async def test_a_room_taken_out_and_one_that_is_no_space(server: Server) -> None:
    alice = await server.register("alice")
    space, room = await public(alice, "S", **SPACE), await public(alice, "R")
    await put_in(alice, space, room)
    await put_in(alice, room, space)
    assert await seen(alice, space) == [space, room]
    assert await seen(alice, room) == [room]
    await alice.set_state(space, "m.space.child", {}, room)
    await alice.set_state(space, "m.space.child", {"via": ["test"]}, "not a room")
    assert await seen(alice, space) == [space]
