"""How much is unread ("Receiving notifications"): in memory for awake readers, counted in one statement for the others.

Every committed event is added to the tallies of the awake members of its room, so a waiting sync finds its counts
without asking. A tally that cannot be followed exactly is dropped, and counted anew when somebody asks for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.announcer import Resolved
from homeserver.services.awake import AwakeUser, AwakeUsers
from homeserver.services.push_rules.rulesets import Rulesets
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.sources import UnreadCounts
from homeserver.services.unread.counting import CountUnread, Uncounted
from homeserver.services.unread.membership_changes import MembershipChange, membership_change
from homeserver.services.unread.own_reads import OwnReads
from homeserver.services.unread.tallies import ReaderTallies, Tally
from homeserver.services.unread.threads import Threads
from homeserver.storage.events import Events
from homeserver.storage.receipts import UNTHREADED

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ReadListener = Callable[[str, str, str, int], None]


@dataclass(slots=True)
class Unread:
    """Implements `UnreadSource`. `capacity`: tallies held, one a reader and room."""

    queries: Queries
    events: Events
    awake: AwakeUsers
    cache: RoomCache
    rulesets: Rulesets
    counter: CountUnread
    threads: Threads
    own_reads: OwnReads
    server_name: str
    capacity: int = 500_000
    on_read: list[ReadListener] = field(default_factory=list)
    """Called with (user, room, thread or UNTHREADED, position) of what one of our users has read. Synchronous, and quick."""
    _readers: OrderedDict[str, ReaderTallies] = field(default_factory=OrderedDict)
    _held: int = 0
    _started_at: int = 0

    async def load(self) -> None:
        """Learn where the events stand; once, before the first request."""
        self.counter.seen = self._started_at = await self.events.last(self.queries)

    # -- asked by sync ------------------------------------------------------------------------------

    async def counts(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, UnreadCounts]:
        """Counts of those rooms that the user has joined; no statement where they are in memory."""
        user = await self.awake.get(user_id)
        reader = self._reader(user_id, user)
        known = reader.rooms if reader is not None else {}
        joined = [room_id for room_id in room_ids if _is_joined(user, room_id)]
        missing = [room_id for room_id in joined if room_id not in known]
        if missing:
            counted = await self._count({user_id: Uncounted(user, missing)})
            known = {**known, **counted[user_id]}
        return {room_id: known[room_id].counts() for room_id in joined if room_id in known}

    def _reader(self, user_id: str, user: AwakeUser) -> ReaderTallies | None:
        reader = self._readers.get(user_id)
        if reader is None:
            return None
        if reader.awake is not user:  # he was forgotten meanwhile, and nobody followed his tallies
            self.forget_reader(user_id)
            return None
        self._readers.move_to_end(user_id)
        return reader

    # -- asked by pushers ---------------------------------------------------------------------------

    async def notifications(self, users: Mapping[str, AwakeUser]) -> dict[str, int]:
        """Of all rooms together, by user; a constant number of statements, none where they are in memory."""
        uncounted = {user_id: self._uncounted(user_id, user) for user_id, user in users.items()}
        missing = {user_id: each for user_id, each in uncounted.items() if each.room_ids}
        counted = await self._count(missing) if missing else {}
        return {user_id: self._sum(user_id, user, counted.get(user_id, {})) for user_id, user in users.items()}

    def known_notifications(self, user_id: str, user: AwakeUser) -> int | None:
        """The same for one user from memory; None where they would have to be counted."""
        return None if self._uncounted(user_id, user).room_ids else self._sum(user_id, user, {})

    def _uncounted(self, user_id: str, user: AwakeUser) -> Uncounted:
        reader = self._reader(user_id, user)
        known = reader.rooms if reader is not None else {}
        return Uncounted(user, [room_id for room_id in user.with_membership("join") if room_id not in known])

    def _sum(self, user_id: str, user: AwakeUser, counted: Mapping[str, Tally]) -> int:
        reader = self._reader(user_id, user)
        tallies = {**counted, **(reader.rooms if reader is not None else {})}
        return sum(tally.notifications for tally in tallies.values())

    # -- counted in the database --------------------------------------------------------------------

    async def _count(self, uncounted: Mapping[str, Uncounted]) -> dict[str, dict[str, Tally]]:
        """Tallies by user and room."""
        countings = await self.counter.count(uncounted)
        for user_id, counting in countings.items():
            for event in counting.missed:
                tally = counting.tallies.get(event.room_id)
                if tally is not None:
                    self._apply_to(tally, event, user_id, counting.ignored)
            if not counting.stale:
                self._keep(user_id, uncounted[user_id].user, counting.ignored, counting.tallies)
        return {user_id: counting.tallies for user_id, counting in countings.items()}

    def _keep(self, user_id: str, user: AwakeUser, ignored: frozenset[str], tallies: Mapping[str, Tally]) -> None:
        reader = self._reader(user_id, user)
        if reader is None:
            reader = self._readers[user_id] = ReaderTallies(user, ignored)
        before = len(reader.rooms)
        reader.rooms.update((room_id, tally) for room_id, tally in tallies.items() if _is_joined(user, room_id))
        self._held += len(reader.rooms) - before
        while self._held > self.capacity and len(self._readers) > 1:
            self.forget_reader(next(iter(self._readers)))

    # -- told by others -----------------------------------------------------------------------------

    def forget_reader(self, user_id: str) -> None:
        """The user's push rules or whom he ignores changed: count anew."""
        self.counter.mark_stale(user_id)
        reader = self._readers.pop(user_id, None)
        if reader is not None:
            self._held -= len(reader.rooms)

    def _forget_tally(self, user_id: str, room_id: str) -> None:
        reader = self._readers.get(user_id)
        if reader is not None and reader.rooms.pop(room_id, None) is not None:
            self._held -= 1

    def read(self, user_id: str, room_id: str, thread_id: str, position: int) -> None:
        """Follow a committed receipt. What is newer than it is counted again from the room's newest events."""
        self._lower(user_id, room_id, thread_id, position)
        self._tell_read(user_id, room_id, thread_id, position)

    def _lower(self, user_id: str, room_id: str, thread_id: str, position: int) -> None:
        self.counter.mark_stale(user_id)
        reader = self._readers.get(user_id)
        tally = reader.rooms.get(room_id) if reader is not None else None
        if reader is None or tally is None or tally.is_clear:
            return
        newer = self._newer_events(room_id, position)
        if newer is None:
            self._forget_tally(user_id, room_id)
            return
        remaining = Tally(tally.loud)
        for event in newer:
            self._apply_to(remaining, event, user_id, reader.ignored)
        tally.lower_to(remaining, thread_id)

    def _newer_events(self, room_id: str, position: int) -> list[TimelineEvent] | None:
        """None where memory does not reach back, or to events whose exceptions only the database knows."""
        room = self.cache.peek(room_id)
        newer = room.recent_since(position) if room is not None else None
        if newer and newer[0].position <= self._started_at:
            return None
        return newer

    # -- committed events ---------------------------------------------------------------------------

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Follow committed events. Subscribed to the announcer; runs for every commit."""
        for event in events:
            self.counter.note(event)
            self._apply(event)

    def apply_resolved(self, resolved: Resolved) -> None:
        """Whose membership has changed by resolution gets his counts anew. Subscribed to the announcer."""
        for event_type, state_key in resolved.keys:
            if event_type == "m.room.member":
                self.counter.mark_stale(state_key)
                self._forget_tally(state_key, resolved.room_id)
            elif event_type == "m.room.encryption":
                self._forget_customised(resolved.room_id)

    def _apply(self, event: TimelineEvent) -> None:
        change = membership_change(event)
        if change is not None:
            self._follow_member(event, change)
        elif event.type == "m.room.redaction":
            # What was redacted is no longer unread; whom it had notified is not worth remembering.
            self.forget_room(event.room_id)
        elif event.type == "m.room.encryption" and event.is_state:
            self._forget_customised(event.room_id)
        thread = None
        if event.notifies or event.exceptions:
            thread = self._thread_of(event)
            self._notify(event, thread)
        if change is None:
            self._read_by_sender(event, thread or self._known_thread(event))

    def _notify(self, event: TimelineEvent, thread: str) -> None:
        """Runs for every awake member of the room: nothing here is worked out twice."""
        exceptions = {user_id: (notify, highlight) for user_id, _, notify, highlight in event.exceptions}
        plain, silent = (event.notifies, event.highlights), (False, False)
        room_id, sender, readers = event.room_id, event.sender, self._readers
        for user_id in self.awake.users_in_room(room_id):
            reader = readers.get(user_id)
            tally = reader.rooms.get(room_id) if reader is not None else None
            if reader is None or tally is None or user_id == sender or sender in reader.ignored:
                continue
            notify, highlight = exceptions.get(user_id) or (plain if tally.loud else silent)
            if notify:
                tally.add(thread, 1, int(highlight))

    def _apply_to(self, tally: Tally, event: TimelineEvent, user_id: str, ignored: frozenset[str]) -> None:
        """One event for one reader, out of the stream's order."""
        if event.sender == user_id:
            if membership_change(event) is None:
                tally.read(self._thread_of(event))
            return
        if event.sender in ignored or event.is_redacted:
            return
        notify, highlight = next(
            (exception[2:] for exception in event.exceptions if exception[0] == user_id),
            (event.notifies, event.highlights) if tally.loud else (False, False),
        )
        if notify:
            tally.add(self._thread_of(event), 1, int(highlight))

    def _thread_of(self, event: TimelineEvent) -> str:
        # The rules have looked the thread up before the event was written.
        return self._known_thread(event) or "main"

    def _known_thread(self, event: TimelineEvent) -> str | None:
        return self.threads.known(self.cache.peek(event.room_id), event.type, event.content)

    def _read_by_sender(self, event: TimelineEvent, thread: str | None) -> None:
        sender = event.sender
        if thread is None or not self._is_local(sender):
            return
        self.own_reads.note(sender, event.room_nid, thread, event.position)
        reader = self._readers.get(sender)
        tally = reader.rooms.get(event.room_id) if reader is not None else None
        if tally is not None:
            tally.read(thread)
        self._tell_read(sender, event.room_id, thread, event.position)

    def _tell_read(self, user_id: str, room_id: str, thread_id: str, position: int) -> None:
        for listener in self.on_read:
            listener(user_id, room_id, thread_id, position)

    def _is_local(self, user_id: str) -> bool:
        return user_id.endswith(":" + self.server_name)

    # -- committed memberships ----------------------------------------------------------------------

    def _follow_member(self, event: TimelineEvent, change: MembershipChange) -> None:
        user_id, room_id = event.state_key, event.room_id
        assert user_id is not None
        if change.joined or change.left:
            self.counter.mark_stale(user_id)
        if change.joined:
            self._begin(user_id, event)
        elif change.left:
            self._forget_tally(user_id, room_id)
        room = self.cache.peek(room_id)
        if (change.joined or change.left) and (room is None or len(room.joined) <= 3):
            # One-to-one rooms have push rules of their own.
            self._forget_customised(room_id)

    def _begin(self, user_id: str, event: TimelineEvent) -> None:
        """Who joins has read everything that was before."""
        if not self._is_local(user_id):
            return
        self.own_reads.note(user_id, event.room_nid, UNTHREADED, event.position)
        reader = self._readers.get(user_id)
        if reader is not None and user_id not in self.rulesets.customised:
            self._held += event.room_id not in reader.rooms
            reader.rooms[event.room_id] = Tally(loud=True)
        else:
            self._forget_tally(user_id, event.room_id)

    def forget_room(self, room_id: str) -> None:
        """Some of what may be unread in the room is gone: count anew."""
        for user_id in self.awake.users_in_room(room_id):
            self.counter.mark_stale(user_id)
            reader = self._readers.get(user_id)
            tally = reader.rooms.get(room_id) if reader is not None else None
            if tally is not None and not tally.is_clear:
                self._forget_tally(user_id, room_id)

    def _forget_customised(self, room_id: str) -> None:
        for user_id in _both(self.awake.users_in_room(room_id), self.rulesets.customised):
            self.counter.mark_stale(user_id)
            self._forget_tally(user_id, room_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"readers": len(self._readers), "tallies": self._held}


def _is_joined(user: AwakeUser, room_id: str) -> bool:
    membership = user.rooms.get(room_id)
    return membership is not None and membership.membership == "join"


def _both(users: Iterable[str], others: set[str]) -> list[str]:
    return [user_id for user_id in users if user_id in others]
