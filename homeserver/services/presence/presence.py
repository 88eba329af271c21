"""Presence: commands, and the stream `presence` ("Presence"). In memory, but for status messages.

Changes are told in batches, at most one a second: a wake-up reaches everybody who shares a room, and on a server where
all share one room each change would otherwise wake everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors
from homeserver.services.presence.state import OFFLINE, STATES, Shown, UserPresence
from homeserver.services.text_limits import check_text, is_storable
from homeserver.storage.positions import StreamPosition
from homeserver.storage.recent import RecentChanges
from homeserver.storage.status_messages import StatusMessageRows

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_STATUS_CHARACTERS = 256
TELL_INTERVAL_MS = 1_000
EXPIRY_INTERVAL_MS = 10_000
MAX_TOLD_OFFLINE = 100
PresenceListener = Callable[[str, dict[str, Any]], None]
_OFFLINE = Shown(OFFLINE, None, False)


@dataclass(slots=True)
class Presence:
    """Implements `PresenceSource`. `enabled`: otherwise everybody is offline to everybody."""

    queries: Queries
    rows: StatusMessageRows
    awake: AwakeUsers
    announcer: Announcer
    clock: Clock
    enabled: bool = True
    stream: StreamPosition = field(default_factory=lambda: StreamPosition("presence"))
    _users: dict[str, UserPresence] = field(default_factory=dict)
    _recent: RecentChanges[str] = field(default_factory=RecentChanges)
    _untold: dict[str, None] = field(default_factory=dict)
    _told_ms: int = 0
    _listeners: list[PresenceListener] = field(default_factory=list)

    async def load(self) -> None:
        """Start the stream at the clock's time and read status messages; once, before the first request."""
        now = self.clock.now_ms()
        self.stream.load(now)
        self._recent.load(now)
        for user_id, status_msg in (await self.rows.everybody(self.queries)).items():
            self._users[user_id] = UserPresence(status_msg, shown=Shown(OFFLINE, status_msg, False))

    def on_shown(self, listener: PresenceListener) -> None:
        """Be told what others are shown of a user whenever that changes. Listeners are synchronous and must be quick."""
        self._listeners.append(listener)

    # -- commands -----------------------------------------------------------------------------------

    async def set(self, requester: Requester, user_id: str, state: str, status_msg: str | None) -> None:
        """Say how present this device's user is. Raises Forbidden, InvalidParam."""
        if requester.user_id != user_id:
            raise errors.Forbidden("Everybody speaks for his own presence only")
        if state not in STATES:
            raise errors.InvalidParam(f"'presence' must be one of {', '.join(STATES)}")
        if status_msg is not None:
            check_text(status_msg, "status_msg", MAX_STATUS_CHARACTERS)
        if not self.enabled:
            return
        user = self._users.setdefault(user_id, UserPresence())
        if status_msg != user.status_msg:
            await self.rows.put(self.queries, user_id, status_msg)
            user.status_msg = status_msg
        if state == OFFLINE:
            user.devices.clear()
        user.device_says(requester.device_id or "", state, self.clock.now_ms())
        await self._follow(user_id, user)

    async def get(self, requester: Requester, user_id: str) -> Mapping[str, Any]:
        """The user's presence, for himself and those who share a room with him. Raises Forbidden."""
        if requester.user_id != user_id and not await self.awake.shared_among(requester.user_id, [user_id]):
            raise errors.Forbidden("You do not share a room with this user")
        user = self._users.get(user_id)
        return {"presence": OFFLINE} if user is None else user.content(self.clock.now_ms())

    def shown(self, user_id: str) -> Mapping[str, Any] | None:
        """What others are shown now; None where he is offline, which everybody takes for granted."""
        user = self._users.get(user_id)
        content = None if user is None or not self.enabled else user.content(self.clock.now_ms())
        return None if content is None or content["presence"] == OFFLINE else content

    async def seen(self, user_id: str, device_id: str, set_presence: str) -> None:
        """A sync came in, or is still waiting. `offline` says: this one does not make me present."""
        if not self.enabled or set_presence == OFFLINE:
            return
        user = self._users.setdefault(user_id, UserPresence())
        user.device_syncs(device_id, set_presence, self.clock.now_ms())
        await self._follow(user_id, user)

    async def hear(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """What another server says of its users; of those who share no room with anybody here nothing is kept."""
        if not self.enabled or not told:
            return
        for user_id in await self.awake.joined_anywhere(list(told)):
            each, now_ms = told[user_id], self.clock.now_ms()
            state, ago, status_msg = (each.get(key) for key in ("presence", "last_active_ago", "status_msg"))
            if state not in STATES:
                continue
            user = self._users.setdefault(user_id, UserPresence())
            usable = isinstance(status_msg, str) and is_storable(status_msg, MAX_STATUS_CHARACTERS)
            since = ago if type(ago) is int and ago >= 0 else 0
            user.server_says(state, status_msg if usable else None, max(0, now_ms - since), now_ms)
            await self._follow(user_id, user)

    async def forget(self, user_id: str) -> None:
        """The account is gone: offline, and silent."""
        await self.rows.put(self.queries, user_id, None)
        user = self._users.get(user_id)
        if user is not None:
            user.status_msg = None
            user.devices.clear()
            await self._follow(user_id, user)

    async def _follow(self, user_id: str, user: UserPresence) -> None:
        """Tell others if what they are shown has changed."""
        current = user.current(self.clock.now_ms())
        if current == user.shown:
            return
        user.shown = current
        self._untold[user_id] = None
        if self.clock.now_ms() - self._told_ms >= TELL_INTERVAL_MS:
            await self.tell()

    async def tell(self) -> None:
        """Tell what changed since the last time. Called every TELL_INTERVAL_MS, and at once if that is long ago."""
        if not self._untold:
            return
        changed, self._untold = self._untold, {}
        self._told_ms = self.clock.now_ms()
        try:
            rooms = await self.awake.rooms_of(changed)
        except BaseException:
            # Where the database is away, they are told next time.
            self._untold = {**changed, **self._untold}
            raise
        positions = self.stream.reserve(len(changed))
        for user_id, position in zip(changed, positions, strict=True):
            self._recent.add(position, user_id)
        self.stream.finish(positions)
        self.announcer.wake(users=changed, rooms=rooms)
        now_ms = self.clock.now_ms()
        for listener in self._listeners:
            for user_id in changed:
                if user_id in self._users:
                    listener(user_id, self._users[user_id].content(now_ms))

    async def expire(self) -> None:
        """Devices that were not heard of for long are gone. Called every EXPIRY_INTERVAL_MS."""
        now = self.clock.now_ms()
        for user_id, user in [(user_id, user) for user_id, user in self._users.items() if user.devices]:
            await self._follow(user_id, user)
        for user_id in [each for each, user in self._users.items() if not user.is_worth_keeping(now)]:
            del self._users[user_id]

    # -- asked by sync ------------------------------------------------------------------------------

    async def everything(self, user_id: str) -> Sequence[Mapping[str, Any]]:
        """Everybody who is not simply offline, of those who share a room with the user, himself included."""
        rooms = await self.awake.joined_room_ids(user_id)
        near = {user_id}.union(*(self.awake.users_in_room(room_id) for room_id in rooms))
        shown = {each for each, user in self._users.items() if each in near and user.shown != _OFFLINE}
        asleep = [
            each for each, user in self._users.items() if user.shown != _OFFLINE and not self.awake.is_awake(each)
        ]
        if asleep:
            shown |= await self.awake.shared_among(user_id, asleep)
        return self._events(shown)

    async def changed(self, user_id: str, since: int, to: int) -> Sequence[Mapping[str, Any]]:
        """Who changed in `(since, to]`, as he is now; everybody where that is too long ago."""
        recent = self._changed(since, to)
        if recent is None:
            return await self.everything(user_id)
        return self._events(await self.awake.shared_among(user_id, recent)) if recent else ()

    async def changed_among(self, user_ids: Collection[str], since: int, to: int) -> Sequence[Mapping[str, Any]]:
        """Who of these users changed in `(since, to]`, for a reader of their room; all where that is too long ago."""
        recent = self._changed(since, to)
        return await self.of_users(user_ids) if recent is None else self._events(recent.intersection(user_ids))

    def _changed(self, since: int, to: int) -> frozenset[str] | None:
        """Who changed in `(since, to]`; None where that is too long ago."""
        if since > self.stream.current:  # a token of a process whose clock was ahead
            return None
        recent = self._recent.since(since, to) if since < to else ()
        return None if recent is None else frozenset(recent)

    async def of_users(self, user_ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
        """Of users who newly share a room with the reader. Of many, those who are simply offline are left out."""
        if not self.enabled:
            return ()
        if len(user_ids) > MAX_TOLD_OFFLINE:
            user_ids = [each for each in user_ids if each in self._users and self._users[each].shown != _OFFLINE]
        return self._events(user_ids)

    def _events(self, user_ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
        now = self.clock.now_ms()
        gone = UserPresence()
        return [
            {"type": "m.presence", "sender": each, "content": self._users.get(each, gone).content(now)}
            for each in user_ids
        ]

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"users": len(self._users), "recent": len(self._recent)}
