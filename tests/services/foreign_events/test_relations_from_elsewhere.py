"""Threads and edits that other servers wrote, in whatever order they come: what is told of events knows of them."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Outcome
from homeserver.services.rooms.timeline_event import RELATED
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.services.foreign_events.houses import BOB, House
from tests.services.foreign_events.test_fill_gap import ALICE, fill


def related(rel_type: str, event: Event) -> dict[str, Any]:
    relation = {"rel_type": rel_type, "event_id": event.event_id}
    return {"msgtype": "m.text", "body": "x", "m.relates_to": relation}


async def is_related(house: House, event: Event) -> bool:
    flags = await house.base.database.fetchval("SELECT flags FROM events WHERE event_id = $1", event.event_id)
    return bool(flags & RELATED)


async def threads(house: House) -> list[tuple[str, int, str]]:
    """(root, replies, the newest one), by the newest."""
    rows = await house.base.database.fetch(
        """
        SELECT t.root_id, t.replies, e.event_id FROM threads t
        JOIN events e ON e.room_nid = t.room_nid AND e.position = t.latest_position ORDER BY t.latest_position
        """
    )
    return [tuple(row) for row in rows]


async def test_history_brings_its_threads_whatever_comes_first(house: House) -> None:
    room = ForeignRoom.create("10")
    room.member(ALICE, "join")
    root = room.send(ALICE, "Which cake?")
    edited = room.send(ALICE, "Tee")
    plain = room.send(ALICE, "nothing relates to this")
    first = room.send(MALLORY, related("m.thread", root))
    room.send(ALICE, related("m.replace", edited))
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": plain.event_id, "key": "👍"}}
    room.send(MALLORY, reaction, "m.reaction")
    live = await house.adopt(room)
    newest = await house.send(room.room_id, BOB, "m.room.message", related("m.thread", root))
    assert await threads(house) == [(root.event_id, 1, newest.event_id)]
    # Backwards, a step at a time: replies are here before what they reply to.
    while live.gaps:
        await fill(house, room, 1)
        live = await house.base.cache.get(room.room_id)
    assert await is_related(house, root)
    assert await is_related(house, edited)
    assert not await is_related(house, plain)
    assert await threads(house) == [(root.event_id, 2, newest.event_id)]
    positions = "SELECT count(*) FROM relations r JOIN events e USING (event_nid) WHERE r.position = e.position"
    assert await house.base.database.fetchval(positions) == 4
    assert first.event_id in await house.timeline(room.room_id)


async def test_events_in_memory_know_what_came_from_elsewhere(house: House) -> None:
    room = ForeignRoom.create("10")
    room.member(ALICE, "join")
    live = await house.adopt(room)
    root = room.send(ALICE, "Which cake?")
    reply = room.send(MALLORY, related("m.thread", root))
    assert await house.outcomes(room, root, reply) == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    held = {event.event_id: event.flags & RELATED for event in live.recent}
    assert (held[root.event_id], held[reply.event_id]) == (RELATED, 0)
    assert await is_related(house, root)
