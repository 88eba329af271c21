"""Alice upgrades a room, or shuts its guests out, where users of another server are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.cast import Client
from tests.clock import FakeClock
from tests.federation.conftest import ALPHA, BETA, Home


async def eventually(check: Callable[[], Awaitable[None]]) -> None:
    """Until no assertion of it fails."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await check()
            except AssertionError:
                await asyncio.sleep(0.02)


async def go_together(alpha: Home, beta: Home) -> tuple[Client, Client, str]:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_version="10")
    await bob.post(("join", room_id), via=[ALPHA])
    return alice, bob, room_id


async def listed(client: Client) -> list[str]:
    return [each["room_id"] for each in (await client.get("publicRooms"))["chunk"]]


async def test_names_that_beta_gave_the_room_follow_bob(alpha: Home, beta: Home) -> None:
    alice, bob, old = await go_together(alpha, beta)
    alias = ("directory", "room", f"#hall:{BETA}")
    await bob.put(alias, {"room_id": old})
    levels = await alice.state(old, "m.room.power_levels")
    await alice.set_state(old, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 100}})

    async def lists_it() -> None:
        await bob.put(("directory", "list", "room", old), {"visibility": "public"})

    await eventually(lists_it)
    assert await listed(bob) == [old]
    new = (await alice.post(("rooms", old, "upgrade"), {"new_version": "11"}))["replacement_room"]

    async def knows_of_it() -> None:
        await bob.state(old, "m.room.tombstone")

    await eventually(knows_of_it)
    assert (await bob.get(alias))["room_id"] == old
    await bob.post(("join", new), via=[ALPHA])
    assert (await bob.get(alias))["room_id"] == new
    assert await listed(bob) == [new]


async def test_a_room_that_only_claims_to_follow_another_gets_none_of_its_names(alpha: Home, beta: Home) -> None:
    alice, bob, old = await go_together(alpha, beta)
    alias = ("directory", "room", f"#hall:{BETA}")
    await bob.put(alias, {"room_id": old})
    claim = {"predecessor": {"room_id": old, "event_id": "$any"}}
    false = await alice.create_room(preset="public_chat", creation_content=claim)
    await bob.post(("join", false), via=[ALPHA])
    assert (await bob.get(alias))["room_id"] == old


async def test_guests_of_beta_go_when_alice_no_longer_lets_guests_in(alpha: Home, beta: Home, clock: FakeClock) -> None:
    alice, bob, room_id = await go_together(alpha, beta)
    guest = await beta.server.guest()
    await alice.set_state(room_id, "m.room.guest_access", {"guest_access": "can_join"})

    async def comes_in() -> None:
        await guest.post(("rooms", room_id, "join"))

    await eventually(comes_in)
    # The join may be beside it in the graph; what was said later holds then.
    clock.advance(seconds=1)
    await alice.set_state(room_id, "m.room.guest_access", {"guest_access": "forbidden"})

    async def is_gone() -> None:
        for client in (alice, bob):
            assert (await client.state(room_id, "m.room.member", guest.user_id))["membership"] == "leave", (
                client.user_id
            )

    await eventually(is_gone)
    assert (await bob.state(room_id, "m.room.member", bob.user_id))["membership"] == "join"
