"""Events that were acknowledged before they were dealt with: stored, so that neither a crash nor a slow server loses them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.federation.incoming.incoming import Incoming
from homeserver.protocol.canonical_json import decode_lenient, encode_canonical
from homeserver.protocol.errors import MatrixError, NotFound
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.clock import Clock
from homeserver.services.foreign_events.outcomes import Verdict
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.staged_pdus import StagedPdus

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

RETRY_MS: Final = 5 * 60_000
GIVE_UP_MS: Final = 60 * 60_000
"""Whoever sent it has been away for so long, or never had what it is built on; a later event will make us ask again."""
AT_ONCE: Final = 100
"""Events that are taken up again in one go."""

log = logging.getLogger(__name__)

Work = asyncio.Task[list[Verdict]]


@dataclass(frozen=True, slots=True)
class Staging:
    """`keep` before acknowledging; `work_off` at the start and now and then."""

    queries: Queries
    rows: StagedPdus
    cache: RoomCache
    incoming: Incoming
    clock: Clock
    _following: set[asyncio.Task[None]] = field(default_factory=set)

    async def keep(self, origin: str, room_id: str, events: Sequence[Event], work: Work) -> None:
        """Store these until `work`, which goes on, has dealt with them."""
        now_ms = self.clock.now_ms()
        pdus = [(event.event_id, _encoded(event)) for event in events]
        await self.rows.add(self.queries, room_id, origin, now_ms, now_ms + RETRY_MS, pdus)
        following = asyncio.create_task(self._follow(room_id, events, work))
        self._following.add(following)
        following.add_done_callback(self._following.discard)

    async def recover(self) -> None:
        """After a start: what was staged is nobody's work."""
        await self.rows.all_due(self.queries)

    async def work_off(self) -> None:
        """Take up what is due."""
        now_ms = self.clock.now_ms()
        await self.rows.give_up(self.queries, now_ms - GIVE_UP_MS)
        due = await self.rows.take(self.queries, now_ms, now_ms + RETRY_MS, AT_ONCE)
        await asyncio.gather(*(self._take_up(*key, rows) for key, rows in _grouped(due).items()))

    async def stop(self) -> None:
        """What is still under way will be taken up after the next start."""
        for task in list(self._following):
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def memory_usage(self) -> Mapping[str, int]:
        """Groups of events that were acknowledged and are still being dealt with."""
        return {"under_way": len(self._following)}

    async def _follow(self, room_id: str, events: Sequence[Event], work: Work) -> None:
        try:
            await asyncio.shield(work)
            await self._remove_decided(room_id, events)
        except MatrixError as error:
            log.info("events of %s are tried again later: %s", room_id, error)
        except Exception:
            log.exception("events of %s could not be dealt with; they are tried again", room_id)

    async def _take_up(self, room_id: str, origin: str, rows: Sequence[Record]) -> None:
        try:
            version = (await self.cache.get(room_id)).version
            events = [_decoded(row["pdu"], version) for row in rows]
            await self.incoming.receive(origin, room_id, events)
            await self._remove_decided(room_id, events)
        except NotFound:
            log.info("the room %s is not known any more; what was staged for it will be forgotten", room_id)
        except MatrixError as error:
            log.info("events of %s are tried again later: %s", room_id, error)

    async def _remove_decided(self, room_id: str, events: Iterable[Event]) -> None:
        """What could not be had now may be there later."""
        standings = await self.incoming.standings([event.event_id for event in events])
        if standings:
            await self.rows.remove(self.queries, room_id, standings.keys())


def _encoded(event: Event) -> bytes:
    """In versions 1 and 2 the id is part of the PDU, in later ones it comes of the content."""
    return encode_canonical(event.pdu, strict=event.room_version.strict_canonical_json)


def _decoded(pdu: bytes, version: RoomVersion) -> Event:
    return Event.from_pdu(decode_lenient(pdu), version)


def _grouped(rows: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for row in rows:
        groups.setdefault((row["room_id"], row["origin"]), []).append(row)
    return groups
