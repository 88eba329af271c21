"""The task that commits events: many rooms' events, one statement, one fsync (decision 4).

While one commit is on its way to the disk the next batch gathers by itself. After the commit, in this order and
without awaiting in between: rooms follow, the ring of recent events follows, the stream position advances,
listeners and waiting syncs are told. Whoever sees a position therefore finds everything below it in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING

from homeserver.protocol.errors import MatrixError, Unavailable
from homeserver.services.announcer import Announcer
from homeserver.services.rooms.append import Append, FilledGap, TipMoved
from homeserver.services.rooms.event_rows import EventRows
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.numbers import Place
from homeserver.services.rooms.past_rows import moved_entries, past_rows
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import UNPLACED, TimelineEvent
from homeserver.storage.event_writes import EventStoredError, EventWrites, TransactionTakenError
from homeserver.storage.events import Events
from homeserver.storage.positions import StreamPosition
from homeserver.storage.recent import RecentChanges
from homeserver.storage.rooms import Rooms
from homeserver.storage.timeline_gaps import Gap

if TYPE_CHECKING:
    from homeserver.storage.database import Database

MAX_EVENTS_PER_COMMIT = 256
# Free positions below an event whose past is not here: more than any room has history.
HOLE = 2**30
# Free positions above the last event that is stored, when the server starts: the last start may have handed out and told
# some more, for events that were not written in the end or are deleted by now. A new event there would be news to nobody.
BETWEEN_STARTS = 4 * HOLE

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
        rows: EventRows,
    ) -> None:
        self._database = database
        self._events = events
        self._rooms = rooms
        self.position = position
        self._cache = cache
        self._announcer = announcer
        self._rows = rows
        self.recent: RecentChanges[TimelineEvent] = RecentChanges(8192, weigh=attrgetter("weight"))
        self._queue: deque[Append] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._committing = False
        self.on_past: list[Callable[[], None]] = []
        """Called after history has come into a hole."""

    async def start(self) -> None:
        """Continue well after the last stored event, and begin to commit."""
        stored = await self._events.last(self._database)
        last = stored + BETWEEN_STARTS if stored else 0
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
        places = self._places(batch)
        positions = [place.position for place in places]
        try:
            writes = await self._rows.of_batch(batch, places)
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
                self._fail(batch[0], error)
        else:
            self._publish(batch, moved, positions)

    def _places(self, batch: list[Append]) -> list[Place]:
        """A number for each event; before one whose past is not here positions leap."""
        places = []
        for append in batch:
            for new in append.events:
                low = self.position.leap(HOLE) if new.foreign is not None and new.foreign.missing else None
                position = self.position.reserve()[0]
                places.append(Place(position, position, low))
        return places

    def _fail(self, append: Append, error: Exception) -> None:
        if isinstance(error, EventStoredError):
            error = TipMoved()
        elif not isinstance(error, MatrixError | TransactionTakenError):
            log.exception("could not store events of %s", append.room.room_id)
        self._abandon([append], error)

    async def _write(self, writes: EventWrites, batch: list[Append]) -> set[int]:
        also = batch[0].also
        if also is None and not writes.takes_several:
            return await writes.write(self._database)
        async with self._database.transaction() as tx:
            moved = await writes.write(tx)
            if moved and also is not None:
                await also(tx)
            return moved

    # -- afterwards --------------------------------------------------------------------------------

    def _publish(self, batch: list[Append], moved: set[int], positions: Sequence[int]) -> None:
        with self._finishing(positions):
            committed = self._follow(batch, moved)
        self._announce(committed)
        for append in batch:
            if not append.done.done():
                append.done.set_result(append.stored)

    def _announce(self, committed: list[Append]) -> None:
        """What resolution changed first: of two changes of one membership the later one has the higher position."""
        for append in committed:
            for event in append.stored:
                consequences = append.consequences.get(event.position)
                if consequences is not None and consequences.resolved is not None:
                    self._announcer.announce_resolved(consequences.resolved)
        events = [event for append in committed for event in append.stored if not event.flags & UNPLACED]
        if events:
            self._announcer.announce_events(events)

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

    def _follow(self, batch: list[Append], moved: set[int]) -> list[Append]:
        """Rooms and the ring of recent events have what was committed, and that is returned."""
        committed: list[Append] = []
        for append in batch:
            room = append.room
            if room.room_nid not in moved:
                self._cache.retire(room)
                self._refuse(append, TipMoved())
                continue
            room.settle(new.event for new in append.events)
            room.settle_resolved(append.resolved)
            self._hold(append, room)
            self._cache.reweigh(room)
            committed.append(append)
        return committed

    def _hold(self, append: Append, room: LiveRoom | None) -> None:
        for event in append.stored:
            if event.flags & UNPLACED:
                continue
            if room is not None:
                room.apply(event, append.consequences.get(event.position))
            self.recent.add(event.position, event)
        for rewritten in append.rewritten:
            self._hold_rewritten(rewritten.event)

    def _hold_rewritten(self, event: TimelineEvent) -> None:
        room = self._cache.peek(event.room_id)
        if room is not None:
            room.replace_event(event)
        # State comes with the position from which it is in force, which is not always its place in the timeline.
        place = self.recent.find(
            event.position, lambda held: held.event_id == event.event_id, everywhere=event.is_state
        )
        if place is not None:
            self.recent.replace(place, event.with_position(place))

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
                nids = [event.event_nid for append in batch for event in append.stored]
                found = await self._events.positions(self._database, nids)
                break
            except Exception as error:
                if not isinstance(error, Unavailable):
                    log.exception("cannot find out what was stored")
                self._fail_queue()
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
        with self._finishing(positions):
            committed = [append for append in batch if append.stored and _is_committed(append, found)]
            for append in committed:
                room = self._cache.peek(append.room.room_id)
                if room is not None and append.consequences:
                    # It was loaded meanwhile, and parts of it may be from before the commit.
                    self._cache.retire(room)
                    room = None
                self._hold(append, room)
        self._announce(committed)

    def _fail_queue(self) -> None:
        """Nobody waits for a database that is away."""
        while self._queue:
            self._abandon([self._queue.popleft()], Unavailable("The database is not available"))

    # -- the past --------------------------------------------------------------------------------

    async def fill(self, room: LiveRoom, filled: FilledGap) -> None:
        """Put older history into a gap of the timeline, in one transaction; nobody is told, it is the past.

        Raises TipMoved where the gap has changed or an event came another way meanwhile: get the room again, and look.
        """
        try:
            async with self._database.transaction() as tx:
                if not await past_rows(room, filled).write(tx):
                    raise TipMoved
        except BaseException as error:
            # What is stored is not what memory has, or nobody knows.
            for each in (room, self._cache.peek(room.room_id)):
                if each is not None:
                    self._cache.retire(each)
            if isinstance(error, EventStoredError):
                raise TipMoved from error
            raise
        live = self._cache.peek(room.room_id)
        gap = filled.gap
        left = Gap(gap.low, filled.new_high, tuple(filled.missing)) if filled.missing else None
        moved = moved_entries(filled)
        for each in {id(each): each for each in (room, live) if each is not None}.values():
            each.follow_filled(gap, left, moved, [change.key for change in filled.bottom if change.event is None])
        self._announcer.announce_moved([entry.event for entry in moved if entry.event is not None])
        for listener in self.on_past:
            listener()


def _is_committed(append: Append, found: Mapping[int, int | None]) -> bool:
    """Whether its last event has the place that it was given; all have, or none."""
    event = append.stored[-1]
    if event.flags & UNPLACED:
        return event.event_nid in found
    return found.get(event.event_nid) == event.position
