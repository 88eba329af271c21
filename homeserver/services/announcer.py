"""Tells the rest of the server what has been committed.

Everything here is called after the commit, never before: whoever is woken finds what woke him.
Other processes will be told through the same two calls once there is more than one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.protocol.events import StateKey
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.rooms.live_room import Entry
    from homeserver.services.rooms.timeline_event import TimelineEvent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Changes of a room's state that are not events of its timeline."""

    room_id: str
    came: Sequence[TimelineEvent]
    """In force from their `position` on, which is not that of the event in the timeline, if it is there at all."""
    went: Sequence[StateKey]
    """Keys that are empty now."""
    keys: Sequence[StateKey]
    """All keys that have changed."""

    @staticmethod
    def of(room_id: str, event: TimelineEvent, entries: Iterable[Entry]) -> Resolved | None:
        """What came with an event beside itself; None for nothing."""
        # One key may change twice where there is a hole before the event: what counts is the last.
        last = {entry.key: entry.event for entry in entries}
        keys = [key for key, holder in last.items() if holder is not event]
        came = [holder for holder in last.values() if holder is not None and holder is not event]
        went = [key for key, holder in last.items() if holder is None]
        return Resolved(room_id, came, went, keys) if keys else None


EventsListener = Callable[[Sequence["TimelineEvent"]], None]
ResolvedListener = Callable[[Resolved], None]
EventListener = Callable[["TimelineEvent"], None]
RoomListener = Callable[[str], None]


class Announcer:
    """Wakes waiting syncs and hands committed events to those who subscribed (unread counts, push, federation)."""

    __slots__ = (
        "_awake", "_events_listeners", "_outside_listeners", "_resolved_listeners", "_room_listeners", "_waiters",
    )  # fmt: skip

    def __init__(self, awake: AwakeUsers) -> None:
        self._awake = awake
        self._events_listeners: list[EventsListener] = []
        self._resolved_listeners: list[ResolvedListener] = []
        self._room_listeners: list[RoomListener] = []
        self._outside_listeners: list[EventListener] = []
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}

    def on_events(self, listener: EventsListener) -> None:
        """Subscribe to committed events, in order of position. Listeners are synchronous and must be quick.

        State events that do not come into force with their position are among them: see `TimelineEvent.takes_force`.
        """
        self._events_listeners.append(listener)

    def on_resolved(self, listener: ResolvedListener) -> None:
        """Subscribe to changes of state by other things than events of the timeline: resolution, or a room's whole state as
        we come into it. Called before the listeners to the event that brought them. Synchronous and quick, too.
        """
        self._resolved_listeners.append(listener)

    def on_wake_of_room(self, listener: RoomListener) -> None:
        """Subscribe to wake-ups of rooms (receipts, typing, presence). Listeners are synchronous and must be quick."""
        self._room_listeners.append(listener)

    def on_outside(self, listener: EventListener) -> None:
        """Subscribe to memberships of our users in rooms that this server is not in. Synchronous and quick, too."""
        self._outside_listeners.append(listener)

    def announce_events(self, events: Sequence[TimelineEvent]) -> None:
        """Called by the event writer after its commit: listeners first, so that a woken sync finds their work done.

        A listener that fails keeps the events from nobody else: they are committed.
        """
        for listener in self._events_listeners:
            try:
                listener(events)
            except Exception:
                log.exception("a listener failed at events up to position %d", events[-1].position)
        users: set[str] = set()
        for event in events:
            users.update(self._awake.users_in_room(event.room_id))
            if event.type == "m.room.member" and event.state_key is not None:
                users.add(event.state_key)
        self.wake(users=users)

    def announce_resolved(self, resolved: Resolved) -> None:
        """Called by the event writer before it announces the event that brought this, whose readers are woken then."""
        for listener in self._resolved_listeners:
            try:
                listener(resolved)
            except Exception:
                log.exception("a listener failed at resolved state of %s", resolved.room_id)
        self.wake(users=[state_key for event_type, state_key in resolved.keys if event_type == "m.room.member"])

    def announce_outside(self, event: TimelineEvent) -> None:
        """A user's membership of a room that this server is not in: he alone is told."""
        self._awake.apply_outside(event)
        for listener in self._outside_listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed at an invitation into %s", event.room_id)
        assert event.state_key is not None
        self.wake(users=[event.state_key])

    def announce_moved(self, entries: Iterable[TimelineEvent]) -> None:
        """Entries of current states turned out to be in force only since a later position of the past. Nobody is woken."""
        self._awake.move(entries)

    def wake(self, users: Iterable[str] = (), rooms: Iterable[str] = ()) -> None:
        """Wake the waiting syncs of these users and of the awake members of these rooms."""
        for user_id in users:
            self._wake_user(user_id)
        for room_id in rooms:
            for listener in self._room_listeners:
                listener(room_id)
            for user_id in self._awake.users_in_room(room_id):
                self._wake_user(user_id)

    def _wake_user(self, user_id: str) -> None:
        for waiter in self._waiters.pop(user_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def waiter(self, user_id: str) -> asyncio.Future[None]:
        """A future that is done at the next wake-up of this user. Take it before looking for news, then await it."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(user_id, set()).add(waiter)
        return waiter

    def forget(self, user_id: str, waiter: asyncio.Future[None]) -> None:
        """Give a waiter back that is no longer awaited."""
        waiters = self._waiters.get(user_id)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[user_id]

    @property
    def waiting(self) -> int:
        """How many syncs are waiting now."""
        return sum(len(waiters) for waiters in self._waiters.values())
