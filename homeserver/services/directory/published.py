"""The published rooms, in memory: read from the database at the first question, kept up to date by committed events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from homeserver.services.clock import Clock
from homeserver.services.directory.facts import FACT_TYPES, RoomFacts, room_facts
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.room_directory import PublishedRoom

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.storage.database import Queries

# Read anew now and then: another process may have listed a room.
KEPT_MS = 5 * 60 * 1000

_NOTHING: Mapping[str, Any] = {}
_WATCHED = frozenset((*FACT_TYPES, "m.room.member"))


class ListedRows(Protocol):
    """Where the rooms of a directory are stored."""

    async def published(self, q: Queries) -> list[PublishedRoom]:
        """All listed rooms."""
        ...

    async def state_of_published(self, q: Queries, types: Sequence[str]) -> list[tuple[int, str, bytes]]:
        """(room, type, event body) of the current state of all listed rooms, of these types."""
        ...


@dataclass(slots=True)
class PublishedRooms:
    """`listed()` costs no statement once the rooms are in memory."""

    queries: Queries
    rows: ListedRows
    cache: RoomCache
    clock: Clock
    _facts: dict[str, RoomFacts] | None = None
    _ordered: list[RoomFacts] | None = None
    _loaded_ms: int = 0
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed_while_loading: set[str] = field(default_factory=set)
    _listed_while_loading: bool = False

    async def listed(self) -> Sequence[RoomFacts]:
        """All published rooms that have members, in the order of the directory."""
        if self._facts is None or self.clock.now_ms() - self._loaded_ms > KEPT_MS:
            await self._load()
        if self._ordered is None:
            facts = (self._facts or {}).values()
            self._ordered = sorted((each for each in facts if each.joined > 0), key=lambda each: each.place)
        return self._ordered

    async def _load(self) -> None:
        async with self._loading:
            if self._facts is not None and self.clock.now_ms() - self._loaded_ms <= KEPT_MS:
                return
            self._changed_while_loading.clear()
            self._listed_while_loading = False
            rooms = await self.rows.published(self.queries)
            state = await self.rows.state_of_published(self.queries, FACT_TYPES)
            contents: dict[int, dict[str, Any]] = {}
            for room_nid, event_type, body in state:
                contents.setdefault(room_nid, {})[event_type] = orjson.loads(body).get("content", _NOTHING)
            self._facts = {
                room.room_id: _facts_from(room.room_id, room.room_nid, room.joined, contents.get(room.room_nid, {}))
                for room in rooms
            }
            self._ordered = None
            # What was listed meanwhile may be in what was read, or not: then this is good for one answer only.
            self._loaded_ms = 0 if self._listed_while_loading else self.clock.now_ms()
            for room_id in self._changed_while_loading:
                self._follow(room_id)

    def apply_events(self, events: Iterable[TimelineEvent]) -> None:
        """Follow committed state. Subscribed to the announcer."""
        for event in events:
            if event.state_key is not None and event.type in _WATCHED:
                self._changed_while_loading.add(event.room_id)
                self._follow(event.room_id)
        if not self._loading.locked():
            self._changed_while_loading.clear()

    def apply_resolved(self, resolved: Resolved) -> None:
        """Follow resolved state. Subscribed to the announcer."""
        if any(event_type in _WATCHED for event_type, _ in resolved.keys):
            self._changed_while_loading.add(resolved.room_id)
            self._follow(resolved.room_id)

    def _follow(self, room_id: str) -> None:
        if self._facts is None or room_id not in self._facts:
            return
        room = self.cache.peek(room_id)
        if room is None:
            self._facts = None  # not in memory, though it has just changed: read all of them anew
        else:
            self._facts[room_id] = facts_of(room)
            self._ordered = None

    def add(self, room_id: str) -> None:
        """A room has been listed."""
        room = self.cache.peek(room_id)
        if room is None or self._loading.locked():
            self._read_again()
        elif self._facts is not None:
            self._facts[room_id] = facts_of(room)
            self._ordered = None

    def remove(self, room_id: str) -> None:
        """A room is no longer listed."""
        if self._loading.locked():
            self._read_again()
        elif self._facts is not None and self._facts.pop(room_id, None) is not None:
            self._ordered = None

    def moved(self, room_id: str, successor_id: str) -> None:
        """Another room may be listed in the place of one."""
        if self._facts is None or self._loading.locked():
            self._read_again()
        elif room_id in self._facts:
            self.remove(room_id)
            self.add(successor_id)

    def _read_again(self) -> None:
        self._facts = None
        self._listed_while_loading = True

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._facts or {})}


def facts_of(room: LiveRoom) -> RoomFacts:
    """The facts of a room in memory, from its committed state."""

    def content_of(event_type: str) -> Mapping[str, Any]:
        event = room.state.get(event_type)
        return _NOTHING if event is None else event.content

    return room_facts(room.room_id, room.room_nid, len(room.joined), content_of)


def _facts_from(room_id: str, room_nid: int, joined: int, contents: Mapping[str, Any]) -> RoomFacts:
    return room_facts(room_id, room_nid, joined, lambda event_type: contents.get(event_type, _NOTHING))
