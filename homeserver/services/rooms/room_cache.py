"""Rooms in memory: loaded on demand in a constant number of statements, dropped when others need the space."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from homeserver.protocol.errors import NotFound
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.rooms.live_room import RECENT_EVENTS, CurrentState, LiveRoom, RoomTip
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.storage.events import Events
from homeserver.storage.rooms import Rooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

HIGHEST_POSITION = 2**62


class RoomCache:
    """``get`` is the only way to a LiveRoom. At most ``capacity`` events (large ones count more) are held; least
    recently used rooms go first.
    """

    def __init__(
        self, queries: Queries, rooms: Rooms, events: Events, server_name: str, capacity: int = 60_000
    ) -> None:
        self._queries = queries
        self._rooms = rooms
        self._events = events
        self._server_name = server_name
        self._capacity = capacity
        self._live: OrderedDict[str, LiveRoom] = OrderedDict()
        self._weight = 0
        self._weights: dict[str, int] = {}
        self._loading: dict[str, asyncio.Task[LiveRoom]] = {}

    async def get(self, room_id: str) -> LiveRoom:
        """The room. Raises NotFound where this server does not know it."""
        room = self._live.get(room_id)
        if room is not None:
            self._live.move_to_end(room_id)
            return room
        loading = self._loading.get(room_id)
        if loading is None:
            # A task of its own: a client that goes away must not cancel the load for others.
            loading = self._loading[room_id] = asyncio.create_task(self._load(room_id))
            loading.add_done_callback(lambda task: self._loading.pop(room_id, None))
        return await asyncio.shield(loading)

    def peek(self, room_id: str) -> LiveRoom | None:
        """The room if it is in memory."""
        return self._live.get(room_id)

    async def _load(self, room_id: str) -> LiveRoom:
        row = await self._rooms.get(self._queries, room_id)
        if row is None:
            raise NotFound(f"This server does not know the room {room_id}")
        state, recent = await asyncio.gather(
            self._rooms.current_state(self._queries, row.room_nid),
            self._events.backwards(
                self._queries, row.room_nid, after=-HIGHEST_POSITION, up_to=HIGHEST_POSITION, limit=RECENT_EVENTS // 2
            ),
        )
        room = LiveRoom(
            room_id=room_id,
            room_nid=row.room_nid,
            version=ROOM_VERSIONS[row.version],
            server_name=self._server_name,
            tip=RoomTip(row.extremities, row.depth, row.tip_version),
            state=CurrentState(to_timeline_event(record, room_id) for record in state),
        )
        for record in reversed(recent):
            room.hold_recent(to_timeline_event(record, room_id))
        if len(recent) == RECENT_EVENTS // 2:
            room.recent_complete_after = room.recent[0].position - 1
        else:
            room.recent_complete_after = -HIGHEST_POSITION
        room.latest = room.recent[-1].position if room.recent else -HIGHEST_POSITION
        room.resolved_at = row.resolved_at
        room.gaps = list(row.gaps)
        room.emptied = set(row.emptied)
        self.add(room)
        return room

    def add(self, room: LiveRoom) -> None:
        """Hold a room: one that was loaded, or one that was just created."""
        self._live[room.room_id] = room
        self.reweigh(room)
        while self._weight > self._capacity and len(self._live) > 1 and self._drop_oldest():
            pass

    def reweigh(self, room: LiveRoom) -> None:
        """The room has grown: account for it."""
        if room.room_id in self._live:
            weight = room.weight()
            self._weight += weight - self._weights.get(room.room_id, 0)
            self._weights[room.room_id] = weight

    def _drop_oldest(self) -> bool:
        for room_id, room in self._live.items():
            # A room with uncommitted events stays: its tip exists nowhere else.
            if not room.pending:
                self._remove(room_id)
                return True
        return False

    def _remove(self, room_id: str) -> None:
        # Whoever still holds the room may read it, but must not build on it: its events would miss the next reader.
        self._live.pop(room_id).retired = True
        self._weight -= self._weights.pop(room_id, 0)

    def retire(self, room: LiveRoom) -> None:
        """The room's speculative tip is void (a commit failed, another process was faster): the next get loads it anew."""
        room.retired = True
        if self._live.get(room.room_id) is room:
            self._remove(room.room_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._live), "events": self._weight}
