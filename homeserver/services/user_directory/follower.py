"""Keeps the directory of users up to date, behind the events and in batches.

What changed is read from the rooms' states, not from events: much of the state of a room that we come into is in no
timeline. Listeners say only which rooms to look at; after a start all of them are looked at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.protocol.content import text_of
from homeserver.services.user_directory.names import folded_names, grams_of
from homeserver.storage.positions import StreamPosition
from homeserver.storage.user_directory import ChangedState, DirectoryUser, KnownUser, RoomDoors, UserDirectoryRows

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.services.membership.content import MemberProfile
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Database

MEMBER: Final = "m.room.member"
FOLLOWED_TYPES: Final = frozenset((MEMBER, "m.room.join_rules", "m.room.history_visibility"))
USERS_AT_ONCE: Final = 500
ROOMS_AT_ONCE: Final = 200
"""After a start, when all of them are looked at."""
PATIENCE_S: Final = 3.0
log = logging.getLogger(__name__)
MAX_ROOMS: Final = 10_000
"""That are remembered one by one; beyond it all are looked at."""


@dataclass(slots=True)
class DirectoryFollower:
    """One step at a time."""

    database: Database
    rows: UserDirectoryRows
    stream: StreamPosition
    server_name: str
    everybody: bool
    """All of ours are in the directory, whether they are in a room or not."""
    _progress: int = 0
    _rooms: set[str] | None = None
    """None: all."""
    _users: set[str] = field(default_factory=set)
    _steps: set[asyncio.Task[None]] = field(default_factory=set)
    _step: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Where it was when the server stopped."""
        self._progress = await self.rows.progress(self.database)

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """A listener of the announcer."""
        for event in events:
            if event.state_key is not None and event.type in FOLLOWED_TYPES:
                self._remember(event.room_id)

    def resolved(self, resolved: Resolved) -> None:
        """A listener of the announcer."""
        if any(event_type in FOLLOWED_TYPES for event_type, _ in resolved.keys):
            self._remember(resolved.room_id)

    async def profile(self, user_id: str, profile: MemberProfile) -> None:
        """A hook of profiles."""
        self._users.add(user_id)

    async def deactivated(self, user_id: str, erase: bool) -> None:
        """A hook of accounts."""
        self._users.add(user_id)

    def _remember(self, room_id: str) -> None:
        if self._rooms is not None:
            self._rooms.add(room_id)
            if len(self._rooms) > MAX_ROOMS:
                self._rooms = None

    async def catch_up(self) -> None:
        """For somebody who is about to search: he is better served by what is there than by an error, or by waiting long."""
        step = asyncio.create_task(self._catch_up(), name="follow-user-directory")
        self._steps.add(step)
        step.add_done_callback(self._steps.discard)
        await asyncio.wait((step,), timeout=PATIENCE_S)

    async def _catch_up(self) -> None:
        try:
            await self.run()
            if self.everybody:
                await self._refresh_users(await self.rows.missing(self.database, USERS_AT_ONCE))
        except Exception:
            log.exception("the directory of users could not follow what changed")

    async def stop(self) -> None:
        """What is not written is found again after the next start."""
        for step in self._steps:
            step.cancel()
        await asyncio.gather(*self._steps, return_exceptions=True)

    async def run(self) -> None:
        """Everything that has changed; called again and again."""
        async with self._step:
            if self._rooms is None or self._rooms:
                await self._follow_rooms()
            users, self._users = self._users, set()
            await self._refresh_safely(users)

    async def _follow_rooms(self) -> None:
        # Changes of rooms that come from here on are of positions behind this one, or are remembered anew.
        rooms, self._rooms, up_to = self._rooms, set(), self.stream.current
        try:
            if rooms is None:
                await self._follow_all(up_to)
            else:
                await self._follow(list(rooms), up_to)
            await self.rows.move(self.database, up_to)
        except BaseException:
            self._rooms = None if rooms is None or self._rooms is None else self._rooms | rooms
            raise
        self._progress = max(self._progress, up_to)

    async def _follow_all(self, up_to: int) -> None:
        behind = 0
        while rooms := await self.rows.room_ids(self.database, behind, ROOMS_AT_ONCE):
            await self._follow([room_id for _, room_id in rooms], up_to)
            behind = rooms[-1][0]

    async def _follow(self, room_ids: Sequence[str], up_to: int) -> None:
        changed = await self.rows.changed(self.database, self._progress, up_to, room_ids)
        await self._refresh_rooms({each.room_nid for each in changed if self._matters_to_room(each)})
        await self._refresh_users({each.state_key for each in changed if each.type == MEMBER})

    def _matters_to_room(self, changed: ChangedState) -> bool:
        return changed.type != MEMBER or changed.state_key.endswith(":" + self.server_name)

    async def _refresh_rooms(self, room_nids: Iterable[int]) -> None:
        listed = list(room_nids)
        if listed:
            doors = await self.rows.doors(self.database, listed, self.server_name)
            is_open = {each.room_nid: _is_open(each) for each in doors}
            open_nids = [nid for nid, found in is_open.items() if found]
            await self.rows.put_rooms(self.database, open_nids, [nid for nid, found in is_open.items() if not found])

    async def _refresh_safely(self, users: set[str]) -> None:
        try:
            await self._refresh_users(users)
        except BaseException:
            self._users |= users
            raise

    async def _refresh_users(self, users: Iterable[str]) -> None:
        listed = sorted(users)
        for start in range(0, len(listed), USERS_AT_ONCE):
            known = await self.rows.known(self.database, listed[start : start + USERS_AT_ONCE])
            rows = {each.user_id: row for each in known if (row := _row(each)) is not None}
            gone = [each.user_id for each in known if each.user_id not in rows]
            await self.rows.put_users(self.database, list(rows.values()), gone)

    def memory_usage(self) -> Mapping[str, int]:
        """What waits to be looked at."""
        return {"rooms": -1 if self._rooms is None else len(self._rooms), "users": len(self._users)}


def _row(known: KnownUser) -> DirectoryUser | None:
    """None for those whom nobody is to find."""
    displayname, avatar_url = known.displayname, known.avatar_url
    if known.is_local and known.hidden:
        return None
    if not known.is_local:
        if known.body is None:
            return None
        content = _content(known.body)
        displayname, avatar_url = _storable(content, "displayname"), _storable(content, "avatar_url")
    names = folded_names(known.user_id, displayname)
    return DirectoryUser(known.user_id, displayname, avatar_url, names, grams_of(names))


def _storable(content: Mapping[str, Any], key: str) -> str | None:
    """Events of other servers may have what PostgreSQL's texts cannot."""
    text = text_of(content, key)
    return None if text is None else text.replace("\0", "")


def _is_open(doors: RoomDoors) -> bool:
    rules, visibility = _content(doors.join_rules), _content(doors.visibility)
    is_open = rules.get("join_rule") == "public" or visibility.get("history_visibility") == "world_readable"
    return doors.has_us and is_open


def _content(body: bytes | None) -> Mapping[str, Any]:
    content = {} if body is None else orjson.loads(body).get("content")
    return content if isinstance(content, dict) else {}
