"""The rooms of awake users, in memory: who is woken by what.

A user is awake from his first request that needs his rooms until he is dropped from the bounded cache.
Membership changes of awake users are applied as they commit, so that neither a wake-up nor an
incremental sync asks the database which rooms a user is in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from homeserver.storage.memberships import Membership, Memberships

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Queries

Change = Callable[[], None]

# What a user can be in a room that this server is not in, and be told more of than that he is out.
OUTSIDE = ("invite", "knock")
NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class AwakeUser:
    """All memberships of one user (forgotten rooms too), by room id."""

    rooms: dict[str, Membership]

    def with_membership(self, membership: str) -> list[str]:
        """Ids of the rooms in which the user has this membership."""
        return [room_id for room_id, entry in self.rooms.items() if entry.membership == membership]


class AwakeUsers:
    """Bounded cache of users' memberships, with the index from room to awake joined users.

    `capacity` counts users, `max_memberships` what they have together.
    """

    def __init__(
        self, queries: Queries, memberships: Memberships, capacity: int = 20_000, max_memberships: int = 500_000
    ) -> None:
        self._queries = queries
        self._memberships = memberships
        self._capacity = capacity
        self._max_memberships = max_memberships
        self._users: OrderedDict[str, AwakeUser] = OrderedDict()
        self._held = 0
        self._joined_by_room: dict[str, set[str]] = {}
        # One list for each statement that is under way.
        self._loading: dict[str, list[list[Change]]] = {}

    async def get(self, user_id: str) -> AwakeUser:
        """The user's memberships; loaded in one statement where he was not awake."""
        user = self._users.get(user_id)
        if user is not None:
            self._users.move_to_end(user_id)
            return user
        return await self._load(user_id)

    async def get_many(self, user_ids: Sequence[str]) -> dict[str, AwakeUser]:
        """The memberships of many users; those who were not awake are loaded in one statement."""
        asleep = [user_id for user_id in user_ids if user_id not in self._users]
        found = {user_id: user for user_id in user_ids if (user := self._users.get(user_id)) is not None}
        missed: dict[str, list[Change]] = {user_id: [] for user_id in asleep}
        for user_id, changes in missed.items():
            self._loading.setdefault(user_id, []).append(changes)
        try:
            loaded = await self._memberships.of_users(self._queries, asleep) if asleep else {}
        finally:
            for user_id, changes in missed.items():
                self._end_loading(user_id, changes)
        return found | {user_id: self._wake(user_id, rooms, missed[user_id]) for user_id, rooms in loaded.items()}

    async def _load(self, user_id: str) -> AwakeUser:
        # Events that commit while the statement runs are kept aside and applied to what it returns.
        missed: list[Change] = []
        self._loading.setdefault(user_id, []).append(missed)
        try:
            rooms = await self._memberships.of_user(self._queries, user_id)
        finally:
            self._end_loading(user_id, missed)
        return self._wake(user_id, rooms, missed)

    def _wake(self, user_id: str, rooms: dict[str, Membership], missed: Sequence[Change]) -> AwakeUser:
        present = self._users.get(user_id)
        if present is not None:
            return present
        user = self._users[user_id] = AwakeUser(rooms)
        self._held += len(rooms)
        for room_id in user.with_membership("join"):
            self._joined_by_room.setdefault(room_id, set()).add(user_id)
        for change in missed:
            change()
        while len(self._users) > self._capacity or (self._held > self._max_memberships and len(self._users) > 1):
            self._drop(next(iter(self._users)))
        return user

    def _end_loading(self, user_id: str, missed: list[Change]) -> None:
        others = [each for each in self._loading[user_id] if each is not missed]
        if others:
            self._loading[user_id] = others
        else:
            del self._loading[user_id]

    def _drop(self, user_id: str) -> None:
        user = self._users.pop(user_id)
        self._held -= len(user.rooms)
        for room_id in user.with_membership("join"):
            self._leave_index(room_id, user_id)

    def _leave_index(self, room_id: str, user_id: str) -> None:
        users = self._joined_by_room.get(room_id)
        if users is not None:
            users.discard(user_id)
            if not users:
                del self._joined_by_room[room_id]

    async def joined_anywhere(self, user_ids: Sequence[str]) -> set[str]:
        """Those of these users who have joined a room that this server is in; one statement."""
        return await self._memberships.joined_anywhere(self._queries, user_ids)

    def is_awake(self, user_id: str) -> bool:
        """Whether the user's memberships are in memory."""
        return user_id in self._users

    def peek(self, user_id: str) -> AwakeUser | None:
        """The user's memberships where they are in memory; he is not awake any longer for it."""
        return self._users.get(user_id)

    def users_in_room(self, room_id: str) -> Iterable[str]:
        """Awake users who have joined the room."""
        return self._joined_by_room.get(room_id, NOBODY)

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Follow committed membership events. Subscribed to the announcer before everybody else."""
        for event in events:
            if event.type == "m.room.member" and event.takes_force:
                self._follow(event)

    def apply_resolved(self, resolved: Resolved) -> None:
        """Follow changes of the state by resolution. Subscribed before everybody else."""
        for event in resolved.came:  # those of a whole room, when we come into it
            if event.type == "m.room.member" and (event.state_key in self._users or event.state_key in self._loading):
                self._follow(event)
        for event_type, state_key in resolved.went:
            if event_type == "m.room.member":
                self._do(state_key, partial(self._take_away, state_key, resolved.room_id))

    def apply_outside(self, event: TimelineEvent) -> None:
        """Follow a membership of a room that this server is not in."""
        self._follow(event, outside=event.membership in OUTSIDE)

    def move(self, entries: Iterable[TimelineEvent]) -> None:
        """The same memberships are in force since other positions."""
        for event in entries:
            user = self._users.get(event.state_key or "") if event.type == "m.room.member" else None
            entry = user.rooms.get(event.room_id) if user is not None else None
            if user is not None and entry is not None and entry.event_nid == event.event_nid:
                user.rooms[event.room_id] = replace(entry, position=event.position)

    def _follow(self, event: TimelineEvent, *, outside: bool = False) -> None:
        if event.state_key is not None and event.membership is not None:
            self._do(event.state_key, partial(self._apply, event, outside=outside))

    def _do(self, user_id: str, change: Change) -> None:
        """Now, and to what is being loaded once it is there."""
        for missed in self._loading.get(user_id, ()):
            missed.append(change)
        change()

    def _take_away(self, user_id: str, room_id: str) -> None:
        user = self._users.get(user_id)
        if user is not None and user.rooms.pop(room_id, None) is not None:
            self._held -= 1
            self._leave_index(room_id, user_id)

    def _apply(self, event: TimelineEvent, *, outside: bool) -> None:
        assert event.state_key is not None
        assert event.membership is not None
        user = self._users.get(event.state_key)
        if user is None:
            return
        before = user.rooms.get(event.room_id)
        if before is not None and before.position >= event.position:
            return
        self._held += before is None
        user.rooms[event.room_id] = Membership(
            room_id=event.room_id,
            room_nid=event.room_nid,
            membership=event.membership,
            event_nid=event.event_nid,
            sender=event.sender,
            forgotten=False,
            position=event.position,
            outside=outside,
        )
        if event.membership == "join":
            self._joined_by_room.setdefault(event.room_id, set()).add(event.state_key)
        else:
            self._leave_index(event.room_id, event.state_key)

    def forget_room(self, user_id: str, room_id: str) -> None:
        """Follow a committed POST /forget."""
        user = self._users.get(user_id)
        if user is not None and room_id in user.rooms:
            user.rooms[room_id] = replace(user.rooms[room_id], forgotten=True)

    async def memberships(self, user_id: str) -> Mapping[str, Membership]:
        """All memberships of the user, by room id."""
        return (await self.get(user_id)).rooms

    async def joined_room_ids(self, user_id: str) -> set[str]:
        """Ids of the rooms the user has joined."""
        return set((await self.get(user_id)).with_membership("join"))

    async def rooms_of(self, user_ids: Iterable[str]) -> set[str]:
        """Ids of the rooms that any of these users has joined. At most one statement, which wakes nobody: users of other
        servers, of whom there may be any number, do not push ours out of memory.
        """
        rooms: set[str] = set()
        asleep: list[str] = []
        for user_id in user_ids:
            user = self._users.get(user_id)
            if user is None:
                asleep.append(user_id)
            else:
                rooms.update(user.with_membership("join"))
        if asleep:
            rooms |= await self._memberships.rooms_of(self._queries, asleep)
        return rooms

    async def shared_among(self, user_id: str, candidates: Iterable[str]) -> set[str]:
        """Those of the candidates who share a joined room with the user; no statement where all are awake."""
        rooms = await self.joined_room_ids(user_id)
        shared: set[str] = set()
        unknown: list[str] = []
        for candidate in candidates:
            if candidate == user_id:
                shared.add(candidate)
            elif candidate in self._users:
                if any(
                    entry.membership == "join" and room in rooms for room, entry in self._users[candidate].rooms.items()
                ):
                    shared.add(candidate)
            else:
                unknown.append(candidate)
        if unknown and rooms:
            shared |= await self._memberships.sharing_among(self._queries, user_id, unknown)
        return shared

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {
            "users": len(self._users),
            "memberships": self._held,
            "rooms": len(self._joined_by_room),
        }
