"""How much is unread ("Receiving notifications"): in memory for awake readers, counted in one statement for the others.

Every committed event is added to the tallies of the awake members of its room, so a waiting sync finds its counts
without asking. A tally that cannot be followed exactly is dropped, and counted anew when somebody asks for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.invite_filter import ALLOW_ALL, Verdict
from homeserver.services.account_data.ignored import IgnoredUsers
from homeserver.services.account_data.invite_filters import InviteFilters
from homeserver.services.announcer import Resolved
from homeserver.services.awake import AwakeUser, AwakeUsers
from homeserver.services.push_rules.rulesets import Rulesets
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.sources import UnreadCounts
from homeserver.services.unread.loudness import Loudness
from homeserver.services.unread.membership_changes import MembershipChange, membership_change
from homeserver.services.unread.own_reads import OwnReads
from homeserver.services.unread.tallies import ReaderTallies, Tally
from homeserver.services.unread.threads import Threads
from homeserver.storage.events import Events
from homeserver.storage.receipts import UNTHREADED
from homeserver.storage.unread import UnreadCountRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Of a room that was not read for long, only so many of the newest events are looked at; mentions are all counted.
# Clients show 99+; a member of 200 rooms that nobody reads must not make the database read them all.
MAX_EVENTS_COUNTED = 200


MAX_USERS_COUNTED = 50
"""In one statement, of all their rooms."""

ReadListener = Callable[[str, str, str, int], None]


@dataclass(slots=True)
class Counting:
    """A statement on its way. What happens meanwhile is collected, and applied to what it returns."""

    room_ids: frozenset[str]
    missed: list[TimelineEvent] = field(default_factory=list)
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Rooms of a user of which he asks how much is unread."""

    user: AwakeUser
    room_ids: Sequence[str]

    @property
    def nids(self) -> dict[str, int]:
        """The rooms' numbers."""
        return {room_id: self.user.rooms[room_id].room_nid for room_id in self.room_ids}


@dataclass(slots=True)
class Unread:
    """Implements `UnreadSource`. `capacity`: tallies held, one a reader and room."""

    queries: Queries
    rows: UnreadCountRows
    events: Events
    awake: AwakeUsers
    cache: RoomCache
    rulesets: Rulesets
    loudness: Loudness
    ignored: IgnoredUsers
    invites: InviteFilters
    threads: Threads
    own_reads: OwnReads
    server_name: str
    capacity: int = 500_000
    on_read: list[ReadListener] = field(default_factory=list)
    """Called with (user, room, thread or UNTHREADED, position) of what one of our users has read. Synchronous, and quick."""
    _readers: OrderedDict[str, ReaderTallies] = field(default_factory=OrderedDict)
    _held: int = 0
    _counting: dict[str, list[Counting]] = field(default_factory=dict)
    _seen: int = 0
    _started_at: int = 0

    async def load(self) -> None:
        """Learn where the events stand; once, before the first request."""
        self._seen = self._started_at = await self.events.last(self.queries)

    # -- asked by sync ------------------------------------------------------------------------------

    async def counts(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, UnreadCounts]:
        """Counts of those rooms that the user has joined; no statement where they are in memory."""
        user = await self.awake.get(user_id)
        reader = self._reader(user_id, user)
        known = reader.rooms if reader is not None else {}
        joined = [room_id for room_id in room_ids if _is_joined(user, room_id)]
        missing = [room_id for room_id in joined if room_id not in known]
        if missing:
            known = {**known, **await self._count(user_id, user, missing)}
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

    async def totals(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How much is unread for each of these users, in all rooms, with invitations. They are in memory then, and awake."""
        found: dict[str, int] = {}
        for start in range(0, len(user_ids), MAX_USERS_COUNTED):
            found |= await self._totals(user_ids[start : start + MAX_USERS_COUNTED])
        return found

    async def _totals(self, user_ids: Sequence[str]) -> dict[str, int]:
        users = await self.awake.get_many(user_ids)
        invited = [user_id for user_id, user in users.items() if user.with_membership("invite")]
        if invited:
            await self.invites.load(invited)
        uncounted = {user_id: self._uncounted(user_id, user) for user_id, user in users.items()}
        missing = {user_id: each for user_id, each in uncounted.items() if each.room_ids}
        counted = await self._count_many(missing) if missing else {}
        return {user_id: self._total(user_id, user, counted.get(user_id, {})) for user_id, user in users.items()}

    def known_total(self, user_id: str) -> int | None:
        """The same for one user from memory; None where it would have to be counted."""
        user = self.awake.peek(user_id)
        if user is None or self._uncounted(user_id, user).room_ids:
            return None
        if user.with_membership("invite") and self.invites.known(user_id) is None:
            return None
        return self._total(user_id, user, {})

    def _uncounted(self, user_id: str, user: AwakeUser) -> Uncounted:
        reader = self._reader(user_id, user)
        known = reader.rooms if reader is not None else {}
        return Uncounted(user, [room_id for room_id in user.with_membership("join") if room_id not in known])

    def _total(self, user_id: str, user: AwakeUser, counted: Mapping[str, Tally]) -> int:
        reader = self._reader(user_id, user)
        tallies = {**counted, **(reader.rooms if reader is not None else {})}
        ignored = reader.ignored if reader is not None else frozenset()
        return self._invitations(user_id, user, ignored) + sum(tally.notifications for tally in tallies.values())

    def _invitations(self, user_id: str, user: AwakeUser, ignored: frozenset[str]) -> int:
        """Those that the user sees; all, where his filter is not in memory."""
        entries = (user.rooms[room_id] for room_id in user.with_membership("invite"))
        wanted = self.invites.known(user_id) or ALLOW_ALL
        return sum(e.sender not in ignored and wanted.verdict(e.sender) is Verdict.ALLOW for e in entries)

    # -- counted in the database --------------------------------------------------------------------

    async def _count(self, user_id: str, user: AwakeUser, room_ids: Sequence[str]) -> dict[str, Tally]:
        return (await self._count_many({user_id: Uncounted(user, room_ids)}))[user_id]

    async def _count_many(self, uncounted: Mapping[str, Uncounted]) -> dict[str, dict[str, Tally]]:
        """Tallies by user and room; a constant number of statements."""
        countings = {user_id: Counting(frozenset(each.room_ids)) for user_id, each in uncounted.items()}
        for user_id, counting in countings.items():
            self._counting.setdefault(user_id, []).append(counting)
        try:
            ignored = await self.ignored.of_users(uncounted)
            tallies = _quiet_tallies(
                await self.loudness.of_users({user_id: each.nids for user_id, each in uncounted.items()})
            )
            await self.own_reads.flush_users(uncounted)
            for counting in countings.values():
                counting.missed.clear()
            await self._fill(uncounted, tallies, ignored)
        finally:
            for user_id, counting in countings.items():
                self._end_counting(user_id, counting)
        for user_id, counting in countings.items():
            for event in counting.missed:
                tally = tallies[user_id].get(event.room_id)
                if tally is not None:
                    self._apply_to(tally, event, user_id, ignored[user_id])
            if not counting.stale:
                self._keep(user_id, uncounted[user_id].user, ignored[user_id], tallies[user_id])
        return tallies

    def _end_counting(self, user_id: str, counting: Counting) -> None:
        self._counting[user_id].remove(counting)
        if not self._counting[user_id]:
            del self._counting[user_id]

    async def _fill(
        self,
        uncounted: Mapping[str, Uncounted],
        tallies: Mapping[str, Mapping[str, Tally]],
        ignored: Mapping[str, frozenset[str]],
    ) -> None:
        by_nid = {
            (user_id, room_nid): tallies[user_id][room_id]
            for user_id, each in uncounted.items()
            for room_id, room_nid in each.nids.items()
            if room_id in tallies[user_id]
        }
        rows = await self.rows.count(
            self.queries,
            [(user_id, room_nid, tally.loud) for (user_id, room_nid), tally in by_nid.items()],
            up_to=self._seen,
            ignored=[(user_id, sender) for user_id in uncounted for sender in ignored[user_id]],
            events_a_room=MAX_EVENTS_COUNTED,
        )
        for row in rows:
            by_nid[row["user_id"], row["room_nid"]].add(row["thread_id"], row["notifications"], row["highlights"])

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
        self._mark_stale(user_id)
        reader = self._readers.pop(user_id, None)
        if reader is not None:
            self._held -= len(reader.rooms)

    def _forget_tally(self, user_id: str, room_id: str) -> None:
        reader = self._readers.get(user_id)
        if reader is not None and reader.rooms.pop(room_id, None) is not None:
            self._held -= 1

    def _mark_stale(self, user_id: str) -> None:
        for counting in self._counting.get(user_id, ()):
            counting.stale = True

    def read(self, user_id: str, room_id: str, thread_id: str, position: int) -> None:
        """Follow a committed receipt. What is newer than it is counted again from the room's newest events."""
        self._lower(user_id, room_id, thread_id, position)
        self._tell_read(user_id, room_id, thread_id, position)

    def _lower(self, user_id: str, room_id: str, thread_id: str, position: int) -> None:
        self._mark_stale(user_id)
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
            self._seen = max(self._seen, event.position)
            for countings in self._counting.values():
                for counting in countings:
                    if event.room_id in counting.room_ids:
                        counting.missed.append(event)
            self._apply(event)

    def apply_resolved(self, resolved: Resolved) -> None:
        """Whose membership has changed by resolution gets his counts anew. Subscribed to the announcer."""
        for event_type, state_key in resolved.keys:
            if event_type == "m.room.member":
                self._mark_stale(state_key)
                self._forget_tally(state_key, resolved.room_id)
            elif event_type == "m.room.encryption":
                self._forget_customised(resolved.room_id)

    def _apply(self, event: TimelineEvent) -> None:
        change = membership_change(event)
        if change is not None:
            self._follow_member(event, change)
        elif event.type == "m.room.redaction":
            # What was redacted is no longer unread; whom it had notified is not worth remembering.
            self._forget_unread(event.room_id)
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
            self._mark_stale(user_id)
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

    def _forget_unread(self, room_id: str) -> None:
        for user_id in self.awake.users_in_room(room_id):
            self._mark_stale(user_id)
            reader = self._readers.get(user_id)
            tally = reader.rooms.get(room_id) if reader is not None else None
            if tally is not None and not tally.is_clear:
                self._forget_tally(user_id, room_id)

    def _forget_customised(self, room_id: str) -> None:
        for user_id in _both(self.awake.users_in_room(room_id), self.rulesets.customised):
            self._mark_stale(user_id)
            self._forget_tally(user_id, room_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"readers": len(self._readers), "tallies": self._held}


def _quiet_tallies(loudness: Mapping[str, Mapping[str, bool]]) -> dict[str, dict[str, Tally]]:
    """Tallies without anything unread, by user and room."""
    return {
        user_id: {room_id: Tally(loud) for room_id, loud in of_user.items()} for user_id, of_user in loudness.items()
    }


def _is_joined(user: AwakeUser, room_id: str) -> bool:
    membership = user.rooms.get(room_id)
    return membership is not None and membership.membership == "join"


def _both(users: Iterable[str], others: set[str]) -> list[str]:
    return [user_id for user_id in users if user_id in others]
