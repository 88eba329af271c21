"""Counts what is unread in the database, while events go on to commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.unread.tallies import Tally

if TYPE_CHECKING:
    from homeserver.services.account_data.ignored import IgnoredUsers
    from homeserver.services.awake import AwakeUser
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.unread.loudness import Loudness
    from homeserver.services.unread.own_reads import OwnReads
    from homeserver.storage.database import Queries
    from homeserver.storage.unread import UnreadCountRows

# Of a room that was not read for long, only so many of the newest events are looked at; mentions are all counted.
# Clients show 99+; a member of 200 rooms that nobody reads must not make the database read them all.
MAX_EVENTS_COUNTED = 200


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
class Counting:
    """A statement on its way, for one user."""

    room_ids: frozenset[str]
    ignored: frozenset[str] = frozenset()
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By room."""
    missed: list[TimelineEvent] = field(default_factory=list)
    """Committed meanwhile: to be applied to what the statement returns."""
    stale: bool = False
    """Something else happened meanwhile: what it returns is not to be kept."""


@dataclass(slots=True)
class CountUnread:
    """`note` and `mark_stale` are told of what happens; `seen`: the position of the newest event."""

    queries: Queries
    rows: UnreadCountRows
    loudness: Loudness
    ignored: IgnoredUsers
    own_reads: OwnReads
    seen: int = 0
    _under_way: dict[str, list[Counting]] = field(default_factory=dict)

    def note(self, event: TimelineEvent) -> None:
        """Follow a committed event."""
        self.seen = max(self.seen, event.position)
        for countings in self._under_way.values():
            for counting in countings:
                if event.room_id in counting.room_ids:
                    counting.missed.append(event)

    def mark_stale(self, user_id: str) -> None:
        """What is being counted for the user is not to be kept."""
        for counting in self._under_way.get(user_id, ()):
            counting.stale = True

    async def count(self, uncounted: Mapping[str, Uncounted]) -> dict[str, Counting]:
        """By user; a constant number of statements. What was `missed` is not in the tallies."""
        countings = {user_id: Counting(frozenset(each.room_ids)) for user_id, each in uncounted.items()}
        for user_id, counting in countings.items():
            self._under_way.setdefault(user_id, []).append(counting)
        try:
            await self._prepare(uncounted, countings)
            for counting in countings.values():
                counting.missed.clear()
            await self._fill(uncounted, countings)
        finally:
            for user_id, counting in countings.items():
                self._end(user_id, counting)
        return countings

    def _end(self, user_id: str, counting: Counting) -> None:
        # Not `remove`, for which equal ones are the same.
        others = [each for each in self._under_way[user_id] if each is not counting]
        if others:
            self._under_way[user_id] = others
        else:
            del self._under_way[user_id]

    async def _prepare(self, uncounted: Mapping[str, Uncounted], countings: Mapping[str, Counting]) -> None:
        ignored = await self.ignored.of_users(uncounted)
        loudness = await self.loudness.of_users({user_id: each.nids for user_id, each in uncounted.items()})
        await self.own_reads.flush_users(uncounted)
        for user_id, counting in countings.items():
            counting.ignored = ignored[user_id]
            counting.tallies = {room_id: Tally(loud) for room_id, loud in loudness[user_id].items()}

    async def _fill(self, uncounted: Mapping[str, Uncounted], countings: Mapping[str, Counting]) -> None:
        by_nid = {
            (user_id, room_nid): countings[user_id].tallies[room_id]
            for user_id, each in uncounted.items()
            for room_id, room_nid in each.nids.items()
            if room_id in countings[user_id].tallies
        }
        rows = await self.rows.count(
            self.queries,
            [(user_id, room_nid, tally.loud) for (user_id, room_nid), tally in by_nid.items()],
            up_to=self.seen,
            ignored=[(user_id, sender) for user_id, counting in countings.items() for sender in counting.ignored],
            events_a_room=MAX_EVENTS_COUNTED,
        )
        for row in rows:
            by_nid[row["user_id"], row["room_nid"]].add(row["thread_id"], row["notifications"], row["highlights"])
