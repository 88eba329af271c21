"""What Mallory may not learn by sliding sync."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}


async def listed(client: Client, pos: str | None = None, **filters: Any) -> set[str]:
    wanted = {"timeline_limit": 1, "required_state": [], "filters": filters}
    return set((await client.post(UNSTABLE, {"lists": {"a": wanted}}, pos=pos))["rooms"])


async def test_filters_see_a_room_as_it_was_when_mallory_was_thrown_out(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    rooms = [await alice.create_room(preset="public_chat", name="Party") for _ in range(2)]
    for room_id in rooms:
        await mallory.join(room_id)
    kicked, banned = rooms
    await alice.kick(kicked, mallory)
    await mallory.post(("rooms", banned, "leave"))
    for room_id in rooms:
        await alice.set_state(room_id, "m.room.name", {"name": "How to get rid of Mallory"})
        await alice.set_state(room_id, "m.room.encryption", ENCRYPTION)
    # Banned long after she had gone: she has not seen the name that the room has got meanwhile.
    await alice.ban(banned, mallory)
    for cold in (False, True):
        if cold:
            for room_id in rooms:
                server.application.base.cache.retire(await server.application.base.cache.get(room_id))
        assert await listed(mallory, room_name_like="rid of") == set()
        assert await listed(mallory, room_name_like="party") == set(rooms)
        assert await listed(mallory, is_encrypted=True) == set()
        assert await listed(mallory, room_types=[None]) == set(rooms)
    # Back again, she is told.
    await alice.invite(kicked, mallory)
    await mallory.join(kicked)
    assert await listed(mallory, room_name_like="rid of") == {kicked}
