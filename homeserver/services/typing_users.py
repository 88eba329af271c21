"""Who is typing where ("Typing Notifications"). In memory only: a restart forgets it, and clients say it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.storage.positions import StreamPosition

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer, Resolved
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.services.rooms.timeline_event import TimelineEvent

TypingListener = Callable[[str, str, bool], None]
"""(user id, room id, whether he types)."""

DEFAULT_TIMEOUT_MS = 30_000
# Whoever goes on typing says so to other servers as often as this: they forget it after some 30 s.
TOLD_AGAIN_MS = 20_000
MAX_TIMEOUT_MS = 120_000
EXPIRY_INTERVAL_MS = 1_000
MAX_TYPING_IN_ROOM = 500
MAX_ROOMS_REMEMBERED = 10_000


@dataclass(slots=True)
class TypingUsers:
    """Implements `TypingSource`. Begins at the clock's time, so that no token of an earlier process is ahead of it."""

    awake: AwakeUsers
    announcer: Announcer
    clock: Clock
    stream: StreamPosition = field(default_factory=lambda: StreamPosition("typing"))
    # Until when each user types, by room.
    _rooms: dict[str, dict[str, int]] = field(default_factory=dict)
    # Position of each room's last change, oldest change first.
    _changed: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _listeners: list[TypingListener] = field(default_factory=list)
    # When listeners were last told that somebody types, by room and user.
    _told_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    async def load(self) -> None:
        """Start the stream; once, before the first request."""
        self.stream.load(self.clock.now_ms())

    def on_typing(self, listener: TypingListener) -> None:
        """Be told who begins, goes on, and stops. Listeners are synchronous and must be quick."""
        self._listeners.append(listener)

    def _tell(self, user_id: str, room_id: str, typing: bool) -> None:
        for listener in self._listeners:
            listener(user_id, room_id, typing)

    async def set(self, requester: Requester, user_id: str, room_id: str, typing: bool, timeout_ms: int | None) -> None:
        """Begin (for at most `timeout_ms`) or stop. Raises Forbidden for others' typing and where one has not joined."""
        if requester.user_id != user_id:
            raise errors.Forbidden("Nobody types for somebody else")
        if room_id not in await self.awake.joined_room_ids(user_id):
            raise errors.Forbidden("You have not joined this room")
        if typing:
            self._begin(user_id, room_id, DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms)
        else:
            self.stop(user_id, room_id)

    async def hear(self, user_id: str, room_id: str, typing: bool) -> None:
        """A user of another server begins or stops. Nothing where nobody here would see it, or he has not joined."""
        if not any(True for _ in self.awake.users_in_room(room_id)):
            return
        if room_id not in await self.awake.rooms_of([user_id]):
            return
        if typing:
            self._begin(user_id, room_id, DEFAULT_TIMEOUT_MS)
        else:
            self.stop(user_id, room_id)

    def _begin(self, user_id: str, room_id: str, timeout_ms: int) -> None:
        users = self._rooms.setdefault(room_id, {})
        is_new = user_id not in users
        if is_new and len(users) >= MAX_TYPING_IN_ROOM:
            return
        users[user_id] = self.clock.now_ms() + max(0, min(timeout_ms, MAX_TIMEOUT_MS))
        if is_new:
            self._announce([room_id])
        now_ms = self.clock.now_ms()
        if is_new or now_ms - self._told_ms.get((room_id, user_id), 0) >= TOLD_AGAIN_MS:
            self._told_ms[(room_id, user_id)] = now_ms
            self._tell(user_id, room_id, True)

    def stop(self, user_id: str, room_id: str) -> None:
        """The user no longer types in the room, if he did."""
        if self._remove(user_id, room_id):
            self._announce([room_id])

    def _remove(self, user_id: str, room_id: str) -> bool:
        users = self._rooms.get(room_id)
        if users is None or users.pop(user_id, None) is None:
            return False
        if not users:
            del self._rooms[room_id]
        self._told_ms.pop((room_id, user_id), None)
        self._tell(user_id, room_id, False)
        return True

    async def expire(self) -> None:
        """Whoever has not said for long that he types does not. Called every EXPIRY_INTERVAL_MS."""
        now = self.clock.now_ms()
        over = [(user, room) for room, users in self._rooms.items() for user, until in users.items() if until <= now]
        for user_id, room_id in over:
            self._remove(user_id, room_id)
        self._announce({room_id for _, room_id in over})

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Who leaves a room types there no more. Subscribed to the announcer."""
        for event in events:
            if event.type == "m.room.member" and event.takes_force and event.membership != "join":
                self.stop(event.state_key or "", event.room_id)

    def apply_resolved(self, resolved: Resolved) -> None:
        """The same for those whom resolution has put out. Subscribed to the announcer."""
        self.apply_events(resolved.came)
        for event_type, state_key in resolved.went:
            if event_type == "m.room.member":
                self.stop(state_key, resolved.room_id)

    def _announce(self, room_ids: Collection[str]) -> None:
        positions = self.stream.reserve(len(room_ids))
        for room_id, position in zip(room_ids, positions, strict=True):
            self._changed[room_id] = position
            self._changed.move_to_end(room_id)
        while len(self._changed) > MAX_ROOMS_REMEMBERED:
            self._changed.popitem(last=False)
        self.stream.finish(positions)
        self.announcer.wake(rooms=room_ids)

    # -- asked by sync ------------------------------------------------------------------------------

    def users(self, room_id: str) -> Sequence[str]:
        """Who is typing in the room."""
        return list(self._rooms.get(room_id, ()))

    def changed_rooms(self, since: int, to: int) -> Collection[str]:
        """Rooms in which somebody began or stopped after `since`. A change after `to` is reported early, and again."""
        if since >= to and since <= self.stream.current:
            return ()
        if since > self.stream.current:  # a token of a process whose clock was ahead
            return list(self._changed)
        newest_first = reversed(self._changed.items())
        return [room_id for room_id, _ in takewhile(lambda changed: changed[1] > since, newest_first)]

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"typing": sum(map(len, self._rooms.values())), "remembered_rooms": len(self._changed)}
