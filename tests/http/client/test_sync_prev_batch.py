"""GET /sync: from `prev_batch` a client reads on backwards, wherever its timeline began."""

from __future__ import annotations

from tests.cast import Server


async def test_who_newly_joins_a_short_room_reads_on_from_where_the_timeline_begins(server: Server) -> None:
    """All of the room fits into the timeline, which is limited all the same: the client may remember an earlier stay."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    since = (await bob.sync())["next_batch"]
    await bob.join(room_id)

    timeline = (await bob.sync(since=since)).room(room_id)["timeline"]

    assert timeline["limited"] is True
    assert timeline["events"][0]["type"] == "m.room.create"
    earlier = await bob.messages(room_id, **{"from": timeline["prev_batch"]})
    assert earlier["chunk"] == []
    assert "end" not in earlier
