"""MSC4480: events that stick, in pages that the client asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.sliding_sync.request import PagedExtension
from homeserver.services.sliding_sync.scene import Scene
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.sticky import MAX_OF_ROOM, StickyRooms
from homeserver.storage.sticky_events import StickyEventRows, StickySpan

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

MAX_STICKY = 1_000


@dataclass(frozen=True, slots=True)
class StickyPages:
    """One verb; two statements at most."""

    queries: Queries
    rows: StickyEventRows
    rooms: StickyRooms
    clock: Clock

    async def __call__(self, scene: Scene, wanted: PagedExtension) -> tuple[dict[str, Any], bool]:
        """A page of all rooms of the reader, and of a room that he newly joined everything at once; and whether that is
        worth telling.
        """
        now = scene.snapshot.now.events
        since = wanted.since or 0
        if since > now:
            since = 0
        older, newer = self._spans(scene, since, now)
        limit = max(1, min(wanted.limit, MAX_STICKY))
        page = await self._read(newer, limit + 1)
        next_batch = now if len(page) <= limit else page[limit - 1]["event_nid"]
        found = self._events(scene, [*await self._read(older, None), *page[:limit]])
        answer: dict[str, Any] = {"next_batch": str(next_batch)}
        if found:
            answer["rooms"] = {room_id: {"events": events} for room_id, events in found.items()}
        # Nothing of a page may be for this reader: he asks for the next one.
        return answer, bool(found) or next_batch < now

    def _spans(self, scene: Scene, since: int, now: int) -> tuple[list[StickySpan], list[StickySpan]]:
        """Of what has been told already, in rooms that the reader newly joined; and of what has not."""
        older, newer = list[StickySpan](), list[StickySpan]()
        for room_id, entry in scene.snapshot.rooms.items():
            if entry.membership != "join" or not self.rooms.sticks(entry.room_nid):
                continue
            own = scene.changes.own.get(room_id)
            if own is not None and own.left_between and since > 0:
                older.append(StickySpan(entry.room_nid, 0, since))
            # Whoever asks for what came since his last answer asks of the rooms in which something came.
            is_quiet = scene.since is not None and since >= scene.since.events and room_id not in scene.changes.rooms
            if since < now and not is_quiet:
                newer.append(StickySpan(entry.room_nid, since, now))
        return older, newer

    async def _read(self, spans: Sequence[StickySpan], at_most: int | None) -> list[Record]:
        if not spans:
            return []
        return await self.rows.in_spans(self.queries, spans, self.clock.now_ms(), MAX_OF_ROOM, at_most)

    def _events(self, scene: Scene, rows: Sequence[Record]) -> dict[str, list[orjson.Fragment]]:
        """By room, oldest first."""
        encoder = Encoder(scene.request.requester, self.clock.now_ms())
        room_ids = {entry.room_nid: room_id for room_id, entry in scene.snapshot.rooms.items()} if rows else {}
        found: dict[str, list[orjson.Fragment]] = {}
        for row in rows:
            room_id = room_ids[row["room_nid"]]
            event = to_timeline_event(row, room_id)
            if event.event_nid not in scene.shown and event.sender not in scene.snapshot.ignored:
                found.setdefault(room_id, []).append(orjson.Fragment(encoder.event(event, "join")))
        return found
