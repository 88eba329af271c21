"""How far pushers have been: written down in batches, and caught up with after a start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from homeserver.services.push.checks import HTTP
from homeserver.services.push.waiting import Waiting
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.visibility import joined_since
from homeserver.storage.receipts import UNTHREADED

if TYPE_CHECKING:
    from homeserver.protocol.push_rules import Action
    from homeserver.services.push.feed import PushFeed
    from homeserver.services.push.notification import Told
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Database
    from homeserver.storage.missed_pushes import MissedPushRows
    from homeserver.storage.pushers import PusherRows

STORE_INTERVAL_MS: Final = 10_000
"""After a kill so much is sent again: "this ID can and should be used to detect duplicate notification requests"."""
MAX_MISSED: Final = 10_000
"""Events of all rooms that are looked through after a start; older ones are unread, and no news."""
EVENTS_AT_ONCE: Final = 500

ReadPositions = Mapping[tuple[str, int, str], int]


@dataclass(slots=True)
class PushProgress:
    """`load` and `catch_up` after a start, `store` from then on."""

    database: Database
    rows: PusherRows
    missed: MissedPushRows
    feed: PushFeed
    _stored: int | None = None

    async def load(self, newest: int) -> None:
        """`newest`: the position of the last event so far. The registry is loaded."""
        self._stored = await self.rows.progress(self.database)
        self.feed.newest = newest
        self.feed.behind_at = self._start()
        for pusher in self.feed.registry.all():
            if pusher.kind == HTTP and pusher.behind is not None:
                waiting = Waiting(pusher.pusher_nid, stored_behind=pusher.behind)
                self.feed.delivery.waiting[pusher.pusher_nid] = waiting

    def _start(self) -> int | None:
        """Where the oldest missed event may be; None where nothing was missed."""
        start = min(self._done().values(), default=self.feed.newest)
        return start if start < self.feed.newest else None

    def _done(self) -> dict[int, int]:
        """Up to where each pusher has been told everything."""
        stored = self.feed.newest if self._stored is None else self._stored
        return {
            each.pusher_nid: each.behind if each.behind is not None else stored
            for each in self.feed.registry.all()
            if each.kind == HTTP
        }

    async def catch_up(self) -> None:
        """Hand out what was missed. Several statements for every EVENTS_AT_ONCE events that notify somebody."""
        after, newest, done = self.feed.behind_at, self.feed.newest, self._done()
        if after is not None:
            after = await self.missed.newest_after(self.database, after, MAX_MISSED)
        while after is not None:
            records = await self.missed.events_after(self.database, after, newest, EVENTS_AT_ONCE)
            await self._hand([to_timeline_event(record, record[-1]) for record in records], done)
            after = records[-1][0] if len(records) == EVENTS_AT_ONCE else None
            self.feed.behind_at = after

    async def _hand(self, events: Collection[TimelineEvent], done: Mapping[int, int]) -> None:
        pushed, room_nids = self.feed.registry.pushed, {event.room_nid for event in events}
        rooms = await self.missed.rooms_of_pushed(self.database, room_nids, pushed)
        read = await self.missed.read_positions(self.database, pushed, rooms)
        for event in events:
            if event.room_nid in rooms:
                # Each room is loaded once; they are those with which the day goes on.
                room = await self.feed.cache.get(event.room_id)
                actions = await self.feed.targets.of_event(event, room)
                told = self._told(event, room)
                await self.feed.hand(told, dict(_still_news(told, room, actions, read)), done)

    def _told(self, event: TimelineEvent, room: LiveRoom) -> Told:
        now_ms = self.feed.clock.now_ms()
        told = self.feed.telling.of_event(event, room, now_ms)
        return replace(told, sent_ms=min(now_ms, event.origin_server_ts))

    async def store(self) -> None:
        """Write down how far each is. Called every STORE_INTERVAL_MS, and at the end."""
        passed = self.feed.passed
        moved = [each for each in self.feed.delivery.waiting.values() if each.behind != each.stored_behind]
        if not moved and passed == self._stored:
            return
        behind = {each.pusher_nid: each.behind for each in moved}
        async with self.database.transaction() as tx:
            if behind:
                await self.rows.put_behind(tx, behind)
            await self.rows.put_progress(tx, passed)
        self._stored = passed
        for each in moved:
            each.stored_behind = behind[each.pusher_nid]


def _still_news(
    told: Told, room: LiveRoom, actions: Mapping[str, Action], read: ReadPositions
) -> Iterable[tuple[str, Action]]:
    for user_id, action in actions.items():
        read_up_to = max(read.get((user_id, told.room_nid, thread), 0) for thread in (UNTHREADED, told.thread_id))
        invited = told.type == "m.room.member" and told.state_key == user_id
        if read_up_to < told.position and (invited or joined_since(room, user_id, told.position)):
            yield user_id, action
