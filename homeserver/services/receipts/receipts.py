"""Receipts: commands and the stream `receipts` ("Receipts", "Read and unread markers")."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors
from homeserver.services.receipts.receipt import READ, READ_PRIVATE, Receipt, contents
from homeserver.services.text_limits import is_storable
from homeserver.storage.positions import StreamPosition
from homeserver.storage.receipts import UNTHREADED, NewReceipt, ReceiptRows
from homeserver.storage.recent import RecentChanges
from homeserver.storage.stream_starts import first_position

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.clock import Clock
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.unread.unread import Unread
    from homeserver.storage.database import Queries
    from homeserver.storage.memberships import Membership

RECEIPT_TYPES = (READ, READ_PRIVATE)
MAIN = "main"
MAX_EVENT_ID_CHARACTERS = 255
# An initial sync shows so many of other people's newest receipts a room: older ones are far up in its history.
MAX_RECEIPTS_A_ROOM = 100


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event that somebody has read. `thread_id`: its own thread, "main" for what is in none."""

    event_id: str
    position: int
    thread_id: str


@dataclass(slots=True)
class Marking:
    """Receipts about to be stored."""

    table: ReceiptRows
    user_id: str
    room_nid: int
    now_ms: int
    receipts: Sequence[NewReceipt]
    moved: Sequence[NewReceipt] = ()
    """Those that went forwards; known when they are stored."""

    async def store(self, q: Queries) -> None:
        """Write them, in one statement."""
        stored = await self.table.store(q, self.room_nid, self.user_id, self.now_ms, self.receipts)
        self.moved = [each for each in self.receipts if each.position in stored]


@dataclass(slots=True)
class Receipts:
    """Implements `ReceiptSource`; `send` and `mark` are the commands."""

    queries: Queries
    rows: ReceiptRows
    awake: AwakeUsers
    cache: RoomCache
    announcer: Announcer
    unread: Unread
    clock: Clock
    stream: StreamPosition = field(default_factory=lambda: StreamPosition("receipts"))
    recent: RecentChanges[Receipt] = field(default_factory=RecentChanges)
    _listeners: list[Callable[[Receipt], None]] = field(default_factory=list)
    on_any: list[Callable[[Receipt], None]] = field(default_factory=list)
    """Called with all receipts: private ones, and those of users of other servers. Synchronous, and quick."""

    async def load(self) -> None:
        """Begin at a position that no token of an earlier start has reached; once, before the first request."""
        position = await first_position(self.queries)
        self.stream.load(position)
        self.recent.load(position)

    def on_receipt(self, listener: Callable[[Receipt], None]) -> None:
        """Be told of our users' public receipts. Listeners are synchronous and must be quick."""
        self._listeners.append(listener)

    def tell_of(self, receipt: Receipt) -> None:
        """It has been stored."""
        for listener in self.on_any:
            listener(receipt)

    # -- commands -----------------------------------------------------------------------------------

    async def send(self, user_id: str, room_id: str, receipt_type: str, event_id: str, thread_id: object) -> None:
        """One receipt; `thread_id` as the client sent it. Raises Forbidden, NotFound, InvalidParam."""
        if receipt_type not in RECEIPT_TYPES:
            raise errors.InvalidParam(f"'{receipt_type[:50]}' is no type of receipt")
        checked = check_thread_id(thread_id)
        membership = await self.joined(user_id, room_id)
        event = (await self.find_events(membership, [event_id]))[event_id]
        if not await self._fits(membership, event, checked):
            raise errors.InvalidParam("The event is not in the thread 'thread_id'")
        await self.mark(user_id, membership, {receipt_type: event}, checked)

    async def _fits(self, room: Membership, event: ReadEvent, thread_id: str) -> bool:
        """A thread's root is in the main timeline, and may be read as the beginning of its thread as well. So may what relates
        to the root without being a reply, as clients draw it there; a statement only for that.
        """
        if thread_id in (UNTHREADED, event.thread_id, event.event_id):
            return True
        if event.thread_id != MAIN:
            return False
        return await self.rows.relates_to_root(self.queries, room.room_nid, event.event_id, thread_id)

    async def joined(self, user_id: str, room_id: str) -> Membership:
        """The user's membership. Raises Forbidden where he has not joined."""
        membership = (await self.awake.memberships(user_id)).get(room_id)
        if membership is None or membership.membership != "join":
            raise errors.Forbidden("You have not joined this room")
        return membership

    async def find_events(self, room: Membership, event_ids: Collection[str]) -> dict[str, ReadEvent]:
        """Events of the room's timeline, by id; no statement where all are recent. Raises NotFound."""
        found = self._recent_events(room.room_id, event_ids)
        missing = [event_id for event_id in event_ids if event_id not in found and _is_possible(event_id)]
        if missing:
            found |= {row[0]: ReadEvent(*row) for row in await self.rows.events(self.queries, room.room_nid, missing)}
        if any(event_id not in found for event_id in event_ids):
            raise errors.NotFound("There is no such event in this room")
        return found

    def _recent_events(self, room_id: str, event_ids: Collection[str]) -> dict[str, ReadEvent]:
        room = self.cache.peek(room_id)
        found: dict[str, ReadEvent] = {}
        for event in reversed(room.recent) if room is not None else ():
            if event.event_id in event_ids:
                thread_id = self.unread.threads.known(room, event.type, event.content)
                if thread_id is not None:
                    found[event.event_id] = ReadEvent(event.event_id, event.position, thread_id)
        return found

    async def mark(self, user_id: str, room: Membership, events: Mapping[str, ReadEvent], thread_id: str) -> None:
        """Store receipts, one event by type; what is behind an earlier receipt changes nothing for others."""
        async with self.marking(user_id, room, events, thread_id) as marking:
            await marking.store(self.queries)

    @asynccontextmanager
    async def marking(
        self, user_id: str, room: Membership, events: Mapping[str, ReadEvent], thread_id: str
    ) -> AsyncIterator[Marking]:
        """The same for a caller who stores them in a transaction of his own, inside of this block."""
        now = self.clock.now_ms()
        async with self.stream.writing(len(events), self.recent) as positions:
            rows = [
                NewReceipt(receipt_type, thread_id, event.event_id, event.position, position)
                for (receipt_type, event), position in zip(events.items(), positions, strict=True)
            ]
            marking = Marking(self.rows, user_id, room.room_nid, now, rows)
            yield marking
            for row in marking.moved:
                receipt = Receipt(room.room_id, user_id, row.receipt_type, thread_id, row.event_id, now)
                self.recent.add(row.position, receipt)
                if row.receipt_type == READ:
                    for listener in self._listeners:
                        listener(receipt)
                self.tell_of(receipt)
        self.unread.read(user_id, room.room_id, thread_id, max(event.position for event in events.values()))
        self._wake(user_id, room.room_id, marking.moved)

    def _wake(self, user_id: str, room_id: str, moved: Sequence[NewReceipt]) -> None:
        """Private receipts are nobody else's business."""
        if any(row.receipt_type == READ for row in moved):
            self.announcer.wake(rooms=[room_id])
        elif moved:
            self.announcer.wake(users=[user_id])

    # -- asked by sync ------------------------------------------------------------------------------

    async def everything(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        """The newest receipts of each room, and all of the user's own; one statement."""
        rooms = await self._room_ids_by_nid(user_id, room_ids)
        return _grouped(rooms, await self.rows.newest(self.queries, user_id, rooms, MAX_RECEIPTS_A_ROOM))

    async def changed(
        self, user_id: str, room_ids: Collection[str], since: int, to: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """Receipts set in `(since, to]`; no statement where these are recent."""
        if since >= to:
            return {}
        recent = self.recent.since(since, to)
        if recent is not None:
            rooms_told = set(room_ids) if recent else set()
            return contents(each for each in recent if each.room_id in rooms_told and each.is_visible_to(user_id))
        rooms = await self._room_ids_by_nid(user_id, room_ids)
        return _grouped(rooms, await self.rows.changed(self.queries, user_id, rooms, since, to))

    async def _room_ids_by_nid(self, user_id: str, room_ids: Collection[str]) -> dict[int, str]:
        memberships = await self.awake.memberships(user_id)
        return {memberships[room_id].room_nid: room_id for room_id in room_ids if room_id in memberships}

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"recent": len(self.recent)}


def check_thread_id(thread_id: object) -> str:
    """ "The `thread_id` is invalid in some way: it is not a string, it is empty". Raises InvalidParam."""
    if thread_id is None:
        return UNTHREADED
    if not isinstance(thread_id, str) or not thread_id or not _is_possible(thread_id):
        raise errors.InvalidParam("'thread_id' must be 'main' or the id of a thread's root event")
    return thread_id


def _is_possible(event_id: str) -> bool:
    """Whether such an id could be stored at all."""
    return is_storable(event_id, MAX_EVENT_ID_CHARACTERS)


def _grouped(rooms: Mapping[int, str], rows: Iterable[Sequence[Any]]) -> Mapping[str, Mapping[str, Any]]:
    return contents(Receipt(rooms[room_nid], *fields) for room_nid, *fields in map(tuple, rows))
