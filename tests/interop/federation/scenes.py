"""How several stories of this folder begin, and what they wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import WAIT_SECONDS, Person

VERSIONS = [str(number) for number in range(1, 13)]
EVERYDAY = ["10", "12"]
"""For what differs little between versions: what most rooms are, and what new ones become."""
MEMBER = "m.room.member"
MODERATOR = 50


def says(membership: str) -> Callable[[dict[str, Any]], bool]:
    return lambda content: bool(content.get("membership") == membership)


async def meet(pair: Pair, home: str, person: MakePerson, version: str, **creation: Any) -> tuple[Person, Person, str]:
    """Alice's public room, where she lives; Bob, of the other server, has come in."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    room = await alice.create_room(version, **creation)
    await bob.join(room, here.name)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    return alice, bob, room


async def appoint(owner: Person, other: Person, room: str, level: int = MODERATOR) -> None:
    """The other one has this power, and his server knows."""
    levels = (await owner.state(room))[("m.room.power_levels", "")]["content"]
    users = {**levels.get("users", {}), other.user_id: level}
    await owner.set_state(room, "m.room.power_levels", {**levels, "users": users})
    await other.until_state(
        room, "m.room.power_levels", "", lambda content: content.get("users", {}).get(other.user_id) == level
    )


async def state_ids(reader: Person, room: str) -> dict[tuple[str, str], str]:
    """The state of the room as the reader's server has it."""
    return {key: event["event_id"] for key, event in (await reader.state(room)).items()}


async def until_same_state(room: str, one: Person, other: Person, seconds: float = WAIT_SECONDS) -> None:
    """Wait until both servers have the same state, event by event."""
    deadline = time.monotonic() + seconds
    while True:
        first, second = await state_ids(one, room), await state_ids(other, room)
        if first == second:
            return
        if time.monotonic() > deadline:
            keys = first.keys() | second.keys()
            different = {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}
            raise AssertionError(f"{one.server_name} and {other.server_name} differ in {different}")
        await asyncio.sleep(0.2)
