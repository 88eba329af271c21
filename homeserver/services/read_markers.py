"""Read markers: `m.fully_read` and receipts in one request ("Fully read markers")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from homeserver.services.account_data.account_data import FULLY_READ
from homeserver.services.account_data.stream import AccountDataStream, AccountDataWrite
from homeserver.services.receipts.receipt import READ, READ_PRIVATE
from homeserver.services.receipts.receipts import ReadEvent, Receipts
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.receipts import UNTHREADED

if TYPE_CHECKING:
    from homeserver.storage.database import Database, Queries
    from homeserver.storage.memberships import Membership


@dataclass(slots=True)
class ReadMarkers:
    """Verbs over a user's markers in one room. Markers only move forwards."""

    database: Database
    rows: AccountDataRows
    stream: AccountDataStream
    receipts: Receipts

    async def set(
        self,
        user_id: str,
        room_id: str,
        *,
        fully_read: str | None = None,
        read: str | None = None,
        read_private: str | None = None,
    ) -> None:
        """Move what is given, each to an event of the room. Raises Forbidden, NotFound."""
        membership = await self.receipts.joined(user_id, room_id)
        wanted = {READ: read, READ_PRIVATE: read_private}
        receipts = {receipt_type: event_id for receipt_type, event_id in wanted.items() if event_id is not None}
        event_ids = {*receipts.values(), *([fully_read] if fully_read is not None else [])}
        if not event_ids:
            return
        events = await self.receipts.find_events(membership, event_ids)
        given = {receipt_type: events[event_id] for receipt_type, event_id in receipts.items()}
        if fully_read is None:
            await self.receipts.mark(user_id, membership, given, UNTHREADED)
        elif not given:
            async with self.stream.writing() as write:
                await self._move_fully_read(self.database, write, user_id, room_id, events[fully_read])
        else:
            await self._set_both(user_id, membership, given, events[fully_read])

    async def _set_both(
        self, user_id: str, room: Membership, given: Mapping[str, ReadEvent], fully_read: ReadEvent
    ) -> None:
        async with (
            self.stream.writing() as write,
            self.receipts.marking(user_id, room, given, UNTHREADED) as marking,
            self.database.transaction() as tx,
        ):
            await marking.store(tx)
            await self._move_fully_read(tx, write, user_id, room.room_id, fully_read)

    async def _move_fully_read(
        self, q: Queries, write: AccountDataWrite, user_id: str, room_id: str, event: ReadEvent
    ) -> None:
        content = orjson.dumps({"event_id": event.event_id})
        if await self.rows.advance(q, user_id, room_id, FULLY_READ, content, write.position, event.position):
            write.done(user_id, room_id, FULLY_READ, content)
