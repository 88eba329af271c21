"""Spaces whose rooms live on several servers."""

from __future__ import annotations

from typing import Any

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Person, segment
from tests.interop.federation.scenes import MEMBER, says

SPACE = {"type": "m.space"}


async def rooms_in(reader: Person, space: str, **query: str) -> dict[str, dict[str, Any]]:
    answer = await reader.get(f"/_matrix/client/v1/rooms/{segment(space)}/hierarchy", **query)
    return {room["room_id"]: room for room in answer["rooms"]}


async def adopt(parent: Person, space: str, child: str, via: str) -> None:
    await parent.set_state(space, "m.space.child", {"via": [via]}, child)


async def test_a_space(pair: Pair, home: str, person: MakePerson) -> None:
    """Bob sees what is in it without being there: a public room, one for members of the space, and rooms below."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    space = await alice.create_room("10", creation_content=SPACE, name="a space")
    child = await alice.create_room("10", name="a child", topic="of the space")
    allow = [{"type": "m.room_membership", "room_id": space}]
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "restricted", "allow": allow}}
    club = await alice.create_room("10", preset="private_chat", name="for members", initial_state=[rules])
    secret = await alice.create_room("10", preset="private_chat", name="for nobody")
    below = await alice.create_room("12", creation_content=SPACE, name="below")
    deep = await alice.create_room("12", name="deep")
    for room in (child, club, secret, below):
        await adopt(alice, space, room, here.name)
    await adopt(alice, below, deep, here.name)
    await bob.join(space, here.name)
    await alice.until_state(space, MEMBER, bob.user_id, says("join"))

    rooms = await rooms_in(bob, space)
    names = {space: "a space", child: "a child", club: "for members", below: "below", deep: "deep"}
    assert {room_id: room["name"] for room_id, room in rooms.items()} == names
    assert rooms[child]["topic"] == "of the space"
    assert rooms[below]["room_type"] == "m.space"
    assert [link["state_key"] for link in rooms[below]["children_state"]] == [deep]
    assert set(await rooms_in(bob, space, max_depth="1")) == {space, child, club, below}


async def test_a_space_with_rooms_of_both(pair: Pair, home: str, person: MakePerson) -> None:
    """Each sees the other's room in the space; who is new there goes from the space into it."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    space = await alice.create_room("11", creation_content=SPACE, name="ours")
    hers, his = await alice.create_room("11", name="hers"), await bob.create_room("11", name="his")
    await adopt(alice, space, hers, here.name)
    await adopt(alice, space, his, there.name)
    await bob.join(space, here.name)
    for reader in (alice, bob):
        rooms = await rooms_in(reader, space)
        assert {room_id: room["name"] for room_id, room in rooms.items()} == {space: "ours", hers: "hers", his: "his"}
    await alice.join(his, there.name)
    await bob.until_state(his, MEMBER, alice.user_id, says("join"))
    await bob.join(hers, here.name)
    await alice.until_state(hers, MEMBER, bob.user_id, says("join"))
