"""Spaces that reach over several servers, and Mallory's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client
from tests.federation.conftest import ALPHA, BETA, Home, World
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer

SPACE = {"creation_content": {"type": "m.space"}, "preset": "public_chat"}
HIERARCHY = "/_matrix/federation/v1/hierarchy"
MALLORY = "@mallory:peer.example"


async def put_in(owner: Client, space: str, room: str, *via: str, **content: Any) -> None:
    await owner.set_state(space, "m.space.child", {"via": list(via), **content}, room)


async def look(client: Client, space: str, **query: Any) -> list[Any]:
    rooms: list[Any] = (await client.get(f"/_matrix/client/v1/rooms/{space}/hierarchy", **query))["rooms"]
    return rooms


async def seen(client: Client, space: str, **query: Any) -> list[str]:
    return [room["room_id"] for room in await look(client, space, **query)]


def child(room_id: Any, *via: Any, **content: Any) -> dict[str, Any]:
    content = {"via": list(via) or ["peer.example"], **content}
    return {"type": "m.space.child", "state_key": room_id, "sender": MALLORY, "content": content, "origin_server_ts": 1}


def room_of(room_id: Any, *children: Any, **changes: Any) -> dict[str, Any]:
    return {
        "room_id": room_id,
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
        "room_type": "m.space",
        "children_state": list(children),
        **changes,
    }


@pytest.fixture
def mallory(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def test_a_tree_over_two_servers(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    there = await alice.create_room(name="There", **SPACE)
    deep = await alice.create_room(name="Deep", preset="public_chat")
    secret = await alice.create_room(preset="private_chat")
    here = await bob.create_room(name="Here", **SPACE)
    own = await bob.create_room(name="Bob's", preset="private_chat")
    await put_in(bob, here, there, ALPHA)
    await put_in(alice, there, deep, ALPHA, order="a")
    await put_in(alice, there, secret, ALPHA, order="b")
    await put_in(alice, there, own, BETA, order="c")
    rooms = await look(bob, here)
    assert [room["room_id"] for room in rooms] == [here, there, deep, own]
    assert (rooms[1]["name"], rooms[2]["name"], rooms[3]["name"]) == ("There", "Deep", "Bob's")
    assert [each["state_key"] for each in rooms[1]["children_state"]] == [deep, secret, own]
    # Bob's room is nobody else's business, though it is in a space that others see.
    carol = await beta.server.register("carol")
    assert await seen(carol, here) == [here, there, deep]


async def test_what_is_asked_is_remembered_for_some_minutes(
    beta: Home, mallory: ForeignServer, peer: Peer, world: World
) -> None:
    bob = await beta.server.register("bob")
    here = await bob.create_room(**SPACE)
    await put_in(bob, here, "!a:peer.example", "peer.example", "nobody.example")
    peer.says(f"{HIERARCHY}/!a:peer.example", {"room": room_of("!a:peer.example"), "children": []})

    def asked() -> int:
        return len([uri for uri in peer.paths() if "hierarchy" in uri])

    for _ in range(3):
        assert await seen(bob, here) == [here, "!a:peer.example"]
    assert asked() == 1
    world.clock.advance(ms=6 * 60_000)
    peer.says(f"{HIERARCHY}/!a:peer.example", {"errcode": "M_NOT_FOUND", "error": "?"}, status=404)
    for _ in range(3):
        assert await seen(bob, here) == [here]
    assert asked() == 2


async def test_what_another_server_gets(alpha: Home, mallory: ForeignServer, peer: Peer) -> None:
    alice = await alpha.server.register("alice")
    space = await alice.create_room(**SPACE)
    open_room = await alice.create_room(preset="public_chat", name="Open")
    closed, denied = await alice.create_room(preset="private_chat"), await alice.create_room(preset="public_chat")
    restricted = await alice.create_room(preset="private_chat")
    allow = [{"type": "m.room_membership", "room_id": open_room}]
    await alice.set_state(restricted, "m.room.join_rules", {"join_rule": "restricted", "allow": allow})
    await alice.set_state(denied, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.example"]})
    for number, room in enumerate((open_room, closed, denied, restricted, "!elsewhere:other.example")):
        await put_in(alice, space, room, ALPHA, order=str(number), suggested=number == 0)

    async def ask(room_id: str, query: str = "", **expect: Any) -> Any:
        return await mallory.ask(alpha.server, "GET", f"{HIERARCHY}/{room_id}{query}", **expect)

    answer = await ask(space)
    assert (answer["room"]["room_id"], len(answer["room"]["children_state"])) == (space, 5)
    assert [room["room_id"] for room in answer["children"]] == [open_room]
    assert answer["inaccessible_children"] == [closed, denied, restricted]
    await mallory.join(alpha.server, open_room, "@bob:peer.example")
    assert [room["room_id"] for room in (await ask(space))["children"]] == [open_room, restricted]
    assert len((await ask(space, "?suggested_only=true"))["room"]["children_state"]) == 1
    for room_id in (closed, denied, "!nothing:alpha.example", "nonsense"):
        await ask(room_id, expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"room": []},
        {"room": room_of("!other:peer.example")},
        {"room": room_of("!a:peer.example", num_joined_members=None), "children": {"a": 1}, "inaccessible_children": 5},
        {
            "room": room_of("!a:peer.example", None, 1, [], {"content": 1}, child(5), child("!b:x", 5)),
            "children": [1, None],
        },
        {"room": room_of("!a:peer.example", name=5, topic=["x"], canonical_alias="x", allowed_room_ids=[1, {}])},
        {"room": room_of("!a:peer.example", children_state="x", room_type={})},
        b"[" * 100_000,
        b"not json",
        b"[]",
        b"x" * (2 * 1024 * 1024),
    ],
)
async def test_whatever_mallory_answers_bob_gets_an_answer(
    beta: Home, mallory: ForeignServer, peer: Peer, answer: Any
) -> None:
    bob = await beta.server.register("bob")
    here = await bob.create_room(**SPACE)
    await put_in(bob, here, "!a:peer.example", "peer.example")
    peer.says(f"{HIERARCHY}/!a:peer.example", answer)
    found = await seen(bob, here)
    assert found[0] == here
    assert set(found) <= {here, "!a:peer.example"}


async def test_a_space_of_mallory_without_an_end(beta: Home, mallory: ForeignServer, peer: Peer) -> None:
    """Each space has another one in it; and in each are rooms of ours that she has no right to show."""
    bob, carol = await beta.server.register("bob"), await beta.server.register("carol")
    here = await bob.create_room(**SPACE)
    secret = await bob.create_room(preset="private_chat", name="Secret")

    def answer(asked: Any) -> Any:
        number = int(asked.path["room_id"][1:].partition(":")[0])
        below = f"!{number + 1}:peer.example"
        lie = room_of(secret, name="Not so secret", join_rule="public")
        stranger = room_of("!victim:victim.example", join_rule="public")
        room = room_of(asked.path["room_id"], child(below), child(secret), child(here))
        return {"room": room, "children": [lie, stranger, room_of(below)], "inaccessible_children": [here]}

    peer.serves("GET", f"{HIERARCHY}/{{room_id}}", answer)
    await put_in(bob, here, "!1:peer.example", "peer.example")
    found = await seen(carol, here)
    assert found == [here, *(f"!{number}:peer.example" for number in range(1, 11))]
    assert len([uri for uri in peer.paths() if "hierarchy" in uri]) <= 10
    assert secret in await seen(bob, here)
