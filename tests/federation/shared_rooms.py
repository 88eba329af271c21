"""Rooms of one of our servers in which users of a scripted server are, without a handshake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.cast import Client
from tests.federation.asker import member, stores
from tests.federation.conftest import Home
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.foreign_servers import ForeignServer

BOB = "@bob:peer.example"
EVENT_IDS = "SELECT event_id FROM events JOIN rooms USING (room_nid) WHERE room_id = $1 ORDER BY event_nid"


async def shared_room(
    home: Home, peer: ForeignServer, users: Sequence[str] = (BOB,), *, version: str = "10", **body: Any
) -> tuple[Client, ForeignRoom]:
    """Alice's public room, the users joined; the peer knows all of it."""
    alice = await home.server.register("alice")
    room_id = await alice.create_room(preset="public_chat", room_version=version, **body)
    await stores(home.server, room_id, *(member(user_id, "join") for user_id in users))
    return alice, await mirrored(home, peer, room_id)


async def mirrored(home: Home, peer: ForeignServer, room_id: str) -> ForeignRoom:
    """The room as the peer would know it, hosted there."""
    application = home.server.application
    live = await application.base.cache.get(room_id)
    rows = await application.base.database.fetch(EVENT_IDS, room_id)
    event_ids = [row[0] for row in rows]
    events = await application.foreign.pdus.events(event_ids)
    room = ForeignRoom(live.version, room_id, {peer.name: peer.key})
    for event_id in event_ids:
        room.add(events[event_id])
    return peer.host(room)
