"""From committed events to what each pusher has to send. A synchronous listener; one task does what takes time, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.services.push.checks import HTTP
from homeserver.services.push.waiting import Entry, Waiting
from homeserver.services.rooms.timeline_event import UNPLACED

if TYPE_CHECKING:
    from homeserver.protocol.push_rules import Action
    from homeserver.services.clock import Clock
    from homeserver.services.push.badges import Badges
    from homeserver.services.push.delivery import PushDelivery
    from homeserver.services.push.notification import Told
    from homeserver.services.push.registry import PusherRegistry
    from homeserver.services.push.targets import Targets
    from homeserver.services.push.telling import Telling
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.unread.totals import UnreadTotals
    from homeserver.storage.database import Queries
    from homeserver.storage.stripped_states import StrippedStates

MAX_WAITING: Final = 10_000
"""Events that have not been looked at; the oldest go where there are more."""

USERS_AT_ONCE: Final = 50
"""Whose unread events are counted in one go, where they are not in memory; the first are told before the last are counted."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PushFeed:
    """Events that notify nobody, or come while nobody has a pusher, cost a look at two fields."""

    queries: Queries
    stripped: StrippedStates
    registry: PusherRegistry
    cache: RoomCache
    targets: Targets
    telling: Telling
    totals: UnreadTotals
    delivery: PushDelivery
    badges: Badges
    clock: Clock
    newest: int = 0
    behind_at: int | None = None
    """Up to here everything has been handed out, and what comes after it is looked for in the database."""
    lost: int = 0
    _waiting: deque[TimelineEvent] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def begin(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        """`newest` has been set. What was missed goes first."""
        self._task = asyncio.create_task(self._run(catch_up), name="look-whom-to-push")

    async def stop(self) -> None:
        """What waits is looked for again after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def passed(self) -> int:
        """All events up to this position have been handed to pushers."""
        if self.behind_at is not None:
            return self.behind_at
        return self._waiting[0].position - 1 if self._waiting else self.newest

    @property
    def waiting(self) -> int:
        """Events that have not been looked at."""
        return len(self._waiting)

    # -- told by others ------------------------------------------------------------------------------------

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """A listener of the announcer."""
        if self.registry.pushed:
            for event in events:
                if event.type == "m.room.member" and event.state_key is not None:
                    self.badges.changed(event.state_key)
                if (event.notifies or event.exceptions) and not event.flags & UNPLACED:
                    self._wait(event)
        self.newest = max(self.newest, events[-1].position)

    def outside(self, event: TimelineEvent) -> None:
        """A listener for memberships of rooms that this server is not in."""
        if event.state_key is not None and event.state_key in self.registry.pushed:
            self.badges.changed(event.state_key)
            if event.membership == "invite":
                self._wait(event)

    def _wait(self, event: TimelineEvent) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(event)
        self._arrived.set()

    # -- the task ------------------------------------------------------------------------------------------

    async def _run(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        try:
            await catch_up()
        except Exception:
            log.exception("what pushers missed could not be found out")
        self.behind_at = None
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                event = self._waiting[0]
                try:
                    await self._look(event)
                except Exception:
                    log.exception("nobody could be notified of %s", event.event_id)
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()

    async def _look(self, event: TimelineEvent) -> None:
        if event.flags & UNPLACED:
            await self._look_from_outside(event)
            return
        room = self.cache.peek(event.room_id) or await self.cache.get(event.room_id)
        actions = await self.targets.of_event(event, room)
        if actions:
            told = self.telling.of_event(event, room, self.clock.now_ms())
            await self.hand(told, actions)

    async def _look_from_outside(self, event: TimelineEvent) -> None:
        actions = await self.targets.of_invitation(event)
        for user_id in actions:  # the one who is invited
            shown = await self.stripped.of_user(self.queries, user_id, [event.room_nid])
            told = self.telling.of_invitation(event, shown.get(event.room_nid, b"[]"), self.clock.now_ms())
            await self.hand(told, actions)

    async def hand(self, told: Told, actions: Mapping[str, Action], done: Mapping[int, int] | None = None) -> None:
        """Give the event to the pushers of these users. `done`: up to where pushers have been told everything, by number."""
        user_ids = list(actions)
        for start in range(0, len(user_ids), USERS_AT_ONCE):
            users = user_ids[start : start + USERS_AT_ONCE]
            await self._count(users)
            for user_id in users:
                self._hand_to(user_id, Entry(told, actions[user_id]), done)
            await asyncio.sleep(0)  # others have their turn

    def _hand_to(self, user_id: str, entry: Entry, done: Mapping[int, int] | None) -> None:
        position = entry.told.position
        for pusher in self.registry.enabled_of(user_id, HTTP):
            # One that was set after the start has missed nothing.
            if done is None or position > done.get(pusher.pusher_nid, position):
                waiting = self.delivery.waiting.setdefault(pusher.pusher_nid, Waiting(pusher.pusher_nid))
                waiting.add(entry)
                self.delivery.start(waiting)

    async def _count(self, user_ids: Sequence[str]) -> None:
        """So that memory knows how much is unread for them, when they are told. Who cannot be counted now is told later."""
        uncounted = [user_id for user_id in user_ids if self.totals.known(user_id) is None]
        if not uncounted:
            return
        try:
            await self.totals.of_users(uncounted)
        except Exception:
            log.exception("what is unread for %d users could not be counted", len(uncounted))
