"""From committed events to the queues of those whom they concern, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.appservices.interests import Concerned, Interests
    from homeserver.services.appservices.queue import Queue
    from homeserver.services.rooms.timeline_event import TimelineEvent

MAX_WAITING: Final = 10_000
"""Events whose rooms have to be looked at; beyond it all queues read them from the database."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Feed:
    """A synchronous listener; what has to ask the database waits for one task, and whatever comes later waits behind it."""

    interests: Interests
    queues: Mapping[Appservice, Queue]
    start: Callable[[Queue], None]
    """Called with a queue that has something new."""
    newest: int = 0
    _waiting: deque[TimelineEvent] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def begin(self, newest: int) -> None:
        """`newest`: the position of the last event so far."""
        self.newest = newest
        self._task = asyncio.create_task(self._run(), name="look-whom-events-concern")

    async def stop(self) -> None:
        """What waits is looked for again after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """A listener of the announcer."""
        for event in events:
            concerned = None if self._waiting else self.interests.known(event)
            if concerned is None:
                self._waiting.append(event)
                self._arrived.set()
            elif concerned:
                self._hand(event, concerned)
        self.newest = max(self.newest, events[-1].position)
        if len(self._waiting) > MAX_WAITING:
            self._give_up_waiting()

    @property
    def passed(self) -> int:
        """All events up to this position have been handed to the queues."""
        return self._waiting[0].position - 1 if self._waiting else self.newest

    def _hand(self, event: TimelineEvent, concerned: Concerned) -> None:
        for appservice in concerned:
            queue = self.queues.get(appservice)
            if queue is not None:
                queue.want(event)
                self.start(queue)

    def _give_up_waiting(self) -> None:
        log.warning("events come faster than rooms can be looked at: application services read them from the database")
        self._waiting.clear()
        self._all_fall_behind()

    def _all_fall_behind(self) -> None:
        for queue in self.queues.values():
            queue.fall_behind()
            self.start(queue)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._look()
            except Exception:
                log.exception("it could not be found out whom events concern; they are read from the database")
                self._waiting.clear()
                self._all_fall_behind()

    async def _look(self) -> None:
        while self._waiting:
            event = self._waiting[0]
            room = await self.interests.of_room(event.room_id)
            if self._waiting and self._waiting[0] is event:
                self._hand(event, self.interests.of_event(event, room))
                self._waiting.popleft()

    @property
    def waiting(self) -> int:
        """Events whose rooms have to be looked at."""
        return len(self._waiting)
