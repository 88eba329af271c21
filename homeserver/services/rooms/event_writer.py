"""The task that commits events: many rooms' events, one statement, one fsync (decision 4).

While one commit is on its way to the disk the next batch gathers by itself. After the commit, in this order and
without awaiting in between: rooms follow, the ring of recent events follows, the stream position advances,
listeners and waiting syncs are told. Whoever sees a position therefore finds everything below it in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING

from homeserver.protocol.errors import MatrixError, Unavailable
from homeserver.services.announcer import Announcer
from homeserver.services.clock import Clock
from homeserver.services.rooms.append import Append, NotificationRules, TipMoved
from homeserver.services.rooms.event_rows import EventRows
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.event_writes import EventWrites, TransactionTakenError
from homeserver.storage.events import Events
from homeserver.storage.positions import StreamPosition
from homeserver.storage.recent import RecentChanges
from homeserver.storage.rooms import Rooms

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Database

MAX_EVENTS_PER_COMMIT = 256

log = logging.getLogger(__name__)


class EventWriter:
    """Owns the events stream of this process."""

    def __init__(
        self,
        database: Database,
        events: Events,
        rooms: Rooms,
        position: StreamPosition,
        cache: RoomCache,
        announcer: Announcer,
        rules: NotificationRules,
        clock: Clock,
    ) -> None:
        self._database = database
        self._events = events
        self._rooms = rooms
        self.position = position
        self._cache = cache
        self._announcer = announcer
        self._rows = EventRows(rules, clock)
        self.recent: RecentChanges[TimelineEvent] = RecentChanges(8192, weigh=attrgetter("weight"))
        self._queue: deque[Append] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._committing = False

    async def start(self) -> None:
        """Continue after the last stored event, and begin to commit."""
        last = await self._events.max_nid(self._database)
        self.position.load(last)
        self.recent.load(last)
        self._task = asyncio.create_task(self._run(), name="event-writer")

    async def stop(self) -> None:
        """Commit what is queued, then end."""
        while (self._queue or self._committing) and self._task is not None and not self._task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def submit(self, append: Append) -> None:
        """Queue events; ``append.done`` tells how it went. The caller has moved the room's tip already."""
        self._queue.append(append)
        self._arrived.set()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._take()
            if not self._queue:
                self._arrived.clear()
            if batch:
                self._committing = True
                await self._commit_safely(batch)
                self._committing = False

    async def _commit_safely(self, batch: list[Append]) -> None:
        """Whatever goes wrong by a mistake of ours, the next batch gets its commit: all rooms depend on this task."""
        try:
            await self._commit(batch)
        except Exception as error:
            log.exception("committed events could not be told")
            self._abandon(batch, error)

    def _take(self) -> list[Append]:
        """The next appends, in order; one with writes of its own goes alone, so that its failure is its own."""
        batch: list[Append] = []
        count = 0
        while self._queue and count < MAX_EVENTS_PER_COMMIT:
            append = self._queue[0]
            if append.room.retired:
                self._queue.popleft()
                self._refuse(append, TipMoved())
                continue
            if append.also is not None and batch:
                break
            batch.append(self._queue.popleft())
            count += len(append.events)
            if append.also is not None:
                break
        return batch

    async def _commit(self, batch: list[Append]) -> None:
        positions = self.position.reserve(sum(len(append.events) for append in batch))
        try:
            writes = await self._rows.of_batch(batch, positions)
            moved = await self._write(writes, batch)
        except Unavailable as error:
            self._abandon(batch, error)
            await self._settle_unknown(batch, positions)
        except Exception as error:
            self.position.finish(positions)
            if len(batch) > 1:
                # One of them is to blame; the others must not pay for it.
                for append in batch:
                    await self._commit([append])
            else:
                if not isinstance(error, MatrixError | TransactionTakenError):
                    log.exception("could not store events of %s", batch[0].room.room_id)
                self._abandon(batch, error)
        else:
            self._publish(batch, moved, positions)

    async def _write(self, writes: EventWrites, batch: list[Append]) -> set[int]:
        also = batch[0].also
        if also is None:
            return await writes.write(self._database)
        async with self._database.transaction() as tx:
            moved = await writes.write(tx)
            if moved:
                await also(tx)
            return moved

    # -- afterwards --------------------------------------------------------------------------------

    def _publish(self, batch: list[Append], moved: set[int], positions: Sequence[int]) -> None:
        with self._finishing(positions):
            committed = self._follow(batch, moved)
        if committed:
            self._announcer.announce_events(committed)
        for append in batch:
            if not append.done.done():
                append.done.set_result(append.stored)

    @contextmanager
    def _finishing(self, positions: Sequence[int]) -> Iterator[None]:
        """Positions are finished in any case; where memory could not follow, readers are sent to the database."""
        try:
            yield
        except BaseException:
            self.recent.forget_up_to(positions[-1])
            raise
        finally:
            self.position.finish(positions)

    def _follow(self, batch: list[Append], moved: set[int]) -> list[TimelineEvent]:
        """Rooms and the ring of recent events have what was committed, and that is returned."""
        committed: list[TimelineEvent] = []
        for append in batch:
            room = append.room
            if room.room_nid not in moved:
                self._cache.retire(room)
                self._refuse(append, TipMoved())
                continue
            room.settle(new.event for new in append.events)
            room.settle_resolved(append.resolved)
            for event in append.stored:
                room.apply(event)
                self.recent.add(event.position, event)
            self._hold_rewritten(append)
            self._cache.reweigh(room)
            committed += append.stored
        return committed

    def _hold_rewritten(self, append: Append) -> None:
        for rewritten in append.rewritten:
            event = rewritten.event
            room = self._cache.peek(event.room_id)
            if room is not None:
                room.replace_event(event)
            self.recent.replace(event.position, event)

    def _abandon(self, batch: list[Append], error: BaseException) -> None:
        for append in batch:
            self._cache.retire(append.room)
            self._refuse(append, error)

    def _refuse(self, append: Append, error: BaseException) -> None:
        if not append.done.done():
            append.done.set_exception(error)
            # Whoever asked may be gone by now; an unread exception is not worth a warning.
            append.done.exception()

    async def _settle_unknown(self, batch: list[Append], positions: Sequence[int]) -> None:
        """The connection broke: PostgreSQL may have committed all the same. Ask until it answers, then follow it.

        Until then the stream stands still, so that no reader steps over an event that is there after all.
        """
        # From here on nobody waits for an answer: a server that stops need not wait for its database.
        self._committing = False
        pause_s = 0.05
        room_nids = sorted({append.room.room_nid for append in batch})
        while True:
            try:
                # The lost statement may still be running over there.
                await self._rooms.await_writers(self._database, room_nids)
                records = await self._events.by_nids_with_rooms(self._database, list(positions))
                break
            except Exception as error:
                if not isinstance(error, Unavailable):
                    log.exception("cannot find out what was stored")
                self._fail_queue()
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
        with self._finishing(positions):
            events = self._follow_unknown(batch, records)
        if events:
            self._announcer.announce_events(events)

    def _follow_unknown(self, batch: list[Append], records: Sequence[Record]) -> list[TimelineEvent]:
        events = [to_timeline_event(record, record["room_id"]) for record in records]
        for event in events:
            room = self._cache.peek(event.room_id)
            if room is not None:
                room.apply(event)
            self.recent.add(event.position, event)
        committed = {event.event_id for event in events}
        for append in batch:
            if append.rewritten and append.events[-1].event.event_id in committed:
                self._hold_rewritten(append)
        return events

    def _fail_queue(self) -> None:
        """Nobody waits for a database that is away."""
        while self._queue:
            self._abandon([self._queue.popleft()], Unavailable("The database is not available"))
