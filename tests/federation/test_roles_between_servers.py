"""Bob is of another server, and holds a role in Alice's community: his own server knows what that means."""

from __future__ import annotations

import asyncio

from tests.federation.conftest import ALPHA, Home
from tests.services.roles.harbour import CLOSED, apply, assign, channel, define, override, plan, space_of


async def test_bob_is_invited_and_has_his_level_at_home(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    space_id = await space_of(alice)
    await bob.post(("join", space_id), {}, server_name=ALPHA, via=ALPHA)
    room_id = await channel(alice, space_id, preset="private_chat")
    await define(alice, space_id)
    await override(alice, space_id, room_id, CLOSED)
    await assign(alice, space_id, bob, "crew")
    done = await apply(alpha.server, alice, space_id)
    assert (done["status"], done["failed"]) == ("complete", [])
    assert (await plan(alice, space_id))["changes"] == []
    assert (await bob.sync()).room(room_id, "invite")
    await bob.post(("rooms", room_id, "join"))
    levels = await bob.state(room_id, "m.room.power_levels")
    assert levels["users"][bob.user_id] == levels["kick"]
    # And when the role goes, so does he.
    await assign(alice, space_id, bob)
    assert (await apply(alpha.server, alice, space_id))["failed"] == []
    async with asyncio.timeout(10):
        while room_id in (await bob.get("joined_rooms"))["joined_rooms"]:
            await asyncio.sleep(0.02)
