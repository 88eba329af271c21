"""Ada, the administrator, lets nobody into Mallory's room any more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server

ROOMS = "/_synapse/admin/v1/rooms"


async def test_nobody_comes_into_a_blocked_room(server: Server, ada: Client) -> None:
    mallory, alice, bob = [await server.register(name) for name in ("mallory", "alice", "bob")]
    room_id = await mallory.create_room(preset="public_chat")
    invited = await mallory.create_room(invite=[alice.user_id])
    await bob.join(room_id)
    for each in (room_id, invited):
        assert await ada.get(f"{ROOMS}/{each}/block") == {"block": False}
        assert await ada.put(f"{ROOMS}/{each}/block", {"block": True}) == {"block": True}
        assert await ada.get(f"{ROOMS}/{each}/block") == {"block": True, "user_id": ada.user_id}
        await alice.join(each, expect=(403, "M_FORBIDDEN"))
    await mallory.invite(room_id, alice, expect=(403, "M_FORBIDDEN"))
    await alice.post(("knock", room_id), {}, expect=(403, "M_FORBIDDEN"))
    await alice.set_state(room_id, "m.room.member", {"membership": "join"}, alice.user_id, expect=403)
    # Who is in stays in, and may change his name there.
    await bob.set_state(room_id, "m.room.member", {"membership": "join", "displayname": "Rob"}, bob.user_id)
    await bob.send(room_id, "still here")
    assert await ada.put(f"{ROOMS}/{room_id}/block", {"block": False}) == {"block": False}
    await alice.join(room_id)


async def test_a_room_can_be_blocked_before_anybody_here_knows_it(server: Server, ada: Client) -> None:
    room_id = "!evil:elsewhere.example"
    await ada.put(f"{ROOMS}/{room_id}/block", {"block": True})
    assert (await ada.get(f"{ROOMS}/{room_id}/block"))["user_id"] == ada.user_id
    alice = await server.register("alice")
    await alice.join(room_id, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize(
    ("room_id", "body"),
    [("!room:test", {}), ("!room:test", {"block": "yes"}), ("!room:test", []), ("nonsense", {"block": True})],
)
async def test_nonsense_is_refused(ada: Client, room_id: str, body: Any) -> None:
    await ada.put(f"{ROOMS}/{room_id}/block", body, expect=400)


async def test_only_administrators_may(server: Server) -> None:
    mallory = await server.register("mallory")
    await mallory.get(f"{ROOMS}/!room:test/block", expect=(403, "M_FORBIDDEN"))
    await mallory.put(f"{ROOMS}/!room:test/block", {"block": True}, expect=(403, "M_FORBIDDEN"))
