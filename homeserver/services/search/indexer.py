"""Follows the stream of events and writes the index, behind the events and in batches.

Nothing is done while an event is sent. How far the index is stands in the database, in the same statement as the entries,
so nothing is lost by a restart and nothing is there twice. Whoever searches has the last few events indexed first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.services.search.entries import INDEXED_TYPES, entry_words, sender_mark
from homeserver.storage.positions import StreamPosition
from homeserver.storage.search_entries import REDACTED, NewEntry, SearchEntries, UnwritableEntriesError

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Database

REDACTION: Final = "m.room.redaction"
FOLLOWED_TYPES: Final = (*INDEXED_TYPES, REDACTION)
BATCH: Final = 500
"""Events that one step looks at."""
log = logging.getLogger(__name__)
BYTES_BETWEEN_BREATHS: Final = 32_768
"""Of events whose words are cut before others have a turn."""
STEPS_BEFORE_SEARCH: Final = 4
"""Where the index is further behind (after an upgrade, or a flood) a search does not wait for it."""


@dataclass(slots=True)
class Indexer:
    """One step at a time."""

    database: Database
    entries: SearchEntries
    stream: StreamPosition
    _progress: int = 0
    _has_news: bool = True
    _has_past: bool = True
    """Until somebody has looked."""
    _step: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Where it was when the server stopped."""
        self._progress = await self.entries.progress(self.database)

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """A listener of the announcer."""
        self._has_news = self._has_news or any(event.type in FOLLOWED_TYPES for event in events)

    def past(self) -> None:
        """A listener of the event writer: history has come into a hole."""
        self._has_past = True

    async def deactivated(self, user_id: str, erase: bool) -> None:
        """A hook of accounts: who is erased is found by his words no more, not even by those who may still read them."""
        if erase:
            await self.catch_up()
            await self.entries.forget(self.database, f"'{sender_mark(user_id)}'", user_id)

    async def catch_up(self) -> None:
        """For somebody who is about to search: as far as it is quickly done."""
        try:
            for _ in range(STEPS_BEFORE_SEARCH):
                if not await self.step():
                    break
        except Exception:
            # He is better served by what is there than by an error.
            log.exception("the index could not follow what was said")

    async def run(self) -> None:
        """Everything there is; called again and again."""
        while await self.step() or await self.step_of_past():
            pass

    async def step(self) -> bool:
        """One batch of the stream. Whether there may be more."""
        async with self._step:
            if not self._has_news:
                return False
            up_to = self.stream.current
            if up_to <= self._progress:
                self._has_news = False
                return False
            boundary = await self.entries.boundary(self.database, self._progress, up_to, BATCH)
            if boundary == up_to:
                # What comes while the statements run says so again.
                self._has_news = False
            await self._index(self._progress, boundary)
            return boundary < up_to

    async def _index(self, after: int, up_to: int) -> None:
        try:
            records = await self.entries.events_after(self.database, after, up_to, FOLLOWED_TYPES)
            entries, redacted = await _parts(records)
            try:
                await self.entries.write(self.database, entries, redacted, after, up_to)
            except UnwritableEntriesError:
                # Nobody would ever find anything again if the index stood still there.
                log.exception("words of events after %d up to %d cannot be written: they are not found", after, up_to)
                await self.entries.write(self.database, [], redacted, after, up_to)
        except BaseException:
            self._has_news = True
            raise
        self._progress = up_to

    async def step_of_past(self) -> bool:
        """One stretch of history that came later. Whether there was one."""
        if not self._has_past:
            return False
        self._has_past = False
        past = await self.entries.next_past(self.database)
        if past is None:
            return False
        self._has_past = True
        records = await self.entries.events_of_past(self.database, past, FOLLOWED_TYPES)
        entries, redacted = await _parts(records)
        async with self.database.transaction() as tx:
            await self.entries.add(tx, entries, redacted)
            await self.entries.past_done(tx, past)
        return True

    def memory_usage(self) -> Mapping[str, int]:
        """How far the index is behind the stream is what an operator wants to know of it."""
        return {"position": self._progress, "news": int(self._has_news)}


async def _parts(records: Sequence[Record]) -> tuple[list[NewEntry], list[str]]:
    """Entries, and ids of events that others redact."""
    entries: list[NewEntry] = []
    redacted: list[str] = []
    size = 0
    for record in records:
        body = orjson.loads(record["body"])
        content = body.get("content")
        size += len(record["body"])
        if size > BYTES_BETWEEN_BREATHS:
            size = 0
            await asyncio.sleep(0)
        if not isinstance(content, dict):
            continue
        if record["type"] == REDACTION:
            redacted += _redacts(body, content)
        elif not record["flags"] & REDACTED:
            words = entry_words(record["type"], record["state_key"], record["sender"], record["room_nid"], content)
            if words is not None:
                entries.append(NewEntry(record["position"], record["room_nid"], words))
    return entries, redacted


def _redacts(body: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
    """In the content since room version 11. Other servers may have written anything there."""
    named = (body.get("redacts"), content.get("redacts"))
    return [each for each in named if isinstance(each, str) and "\0" not in each]
