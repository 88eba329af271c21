"""Events that are kept as state or auth events only: of rooms we are about to come into, above all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from homeserver.protocol.client_event import split
from homeserver.protocol.errors import UnsupportedRoomVersion
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.clock import Clock
from homeserver.services.foreign_events.outcomes import Outcome, Verdict
from homeserver.services.foreign_events.outlier_checks import AuthChecks, Judged, by_auth_events, judge
from homeserver.services.foreign_events.pdu_store import PduStore
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.storable import why_not_storable
from homeserver.services.rooms.timeline_event import OUTLIER, REJECTED
from homeserver.storage.columns import array_text
from homeserver.storage.outliers import Outliers
from homeserver.storage.pdus import EventMark, Pdus
from homeserver.storage.positions import StreamPosition

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Given = ParamSpec("Given")
Made = TypeVar("Made")

INLINE_EVENTS = 50
"""Fewer events than this are checked at once; more of them in a thread."""
ROWS_PER_STATEMENT = 500
"""What a statement's arguments take to encode is time in which nobody else runs: some 10 ms."""


@dataclass(frozen=True, slots=True)
class StoreOutliers:
    """One verb. `position`: the stream that numbers of events come from."""

    queries: Queries
    pdus: Pdus
    store: PduStore
    rows: Outliers
    locks: RoomLocks
    position: StreamPosition
    clock: Clock

    async def __call__(self, room_id: str, version: RoomVersion, events: Sequence[Event]) -> list[Verdict]:
        """Keep events, in any order; a verdict for each, in the order given. What they cite is among them or stored.

        OUTLIER or REJECTED: it is stored as such. REJECTED events that cite something unknown, each other in a circle,
        or belong to another room are not stored. KNOWN: nothing was done.
        Raises UnsupportedRoomVersion where the room has another version here.
        """
        async with self.locks.of(room_id):
            return await self.unlocked(room_id, version, events)

    async def unlocked(self, room_id: str, version: RoomVersion, events: Sequence[Event]) -> list[Verdict]:
        """For those who hold the room's lock."""
        room_nid, stored_version = await self.rows.ensure_room(
            self.queries, room_id, version.version, self.clock.now_ms()
        )
        if stored_version != version.version:
            raise UnsupportedRoomVersion(f"The room {room_id} has version {stored_version} here")
        verdicts = await _beside(len(events), _look_over, events, room_id, version)
        candidates = {event.event_id: event for event in events if verdicts[event.event_id] is None}
        marks = await self.pdus.marks(self.queries, _named(candidates, room_id, version))
        for event_id in [event_id for event_id in candidates if event_id in marks]:
            del candidates[event_id]
            verdicts[event_id] = _known(marks[event_id], room_nid)
        if candidates:
            verdicts.update(await self._store(room_id, room_nid, version, candidates, marks))
        return [verdict for event in events if (verdict := verdicts[event.event_id]) is not None]

    async def rejected_among(self, event_ids: Collection[str]) -> set[str]:
        """Those of these stored events that were rejected."""
        marks = await self.pdus.marks(self.queries, event_ids) if event_ids else {}
        return {event_id for event_id, mark in marks.items() if mark.flags & REJECTED}

    async def _store(
        self, room_id: str, room_nid: int, version: RoomVersion, candidates: dict[str, Event],
        marks: dict[str, EventMark],
    ) -> Iterator[tuple[str, Verdict]]:  # fmt: skip
        cited = _cited(candidates.values(), room_id, version).intersection(marks)
        known = await self.store.events(cited) if cited else {}
        rejected = {event_id for event_id in cited if marks[event_id].flags & REJECTED}
        checks = AuthChecks(room_id, version, known, rejected)
        judged, refused, halves = await _beside(len(candidates), _judge_and_split, checks, candidates)
        await self._insert(room_nid, judged, halves, {event_id: mark.event_nid for event_id, mark in marks.items()})
        return _verdicts(candidates, judged, refused)

    async def _insert(
        self, room_nid: int, judged: Sequence[Judged], halves: Sequence[tuple[bytes, bytes]], numbers: dict[str, int]
    ) -> None:
        own = self.position.reserve(len(judged))
        # Nobody looks for outliers along the stream: readers need not wait until these are stored.
        self.position.finish(own)
        numbers.update((each.event.event_id, nid) for each, nid in zip(judged, own, strict=True))
        for start in range(0, len(judged), ROWS_PER_STATEMENT):
            part = slice(start, start + ROWS_PER_STATEMENT)
            rows = [_row(each, half, numbers) for each, half in zip(judged[part], halves[part], strict=True)]
            await self.rows.insert(self.queries, room_nid, rows)


async def _beside(count: int, work: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs) -> Made:
    """What work with so many events makes; where they are many it is done in a thread."""
    return work(*args, **kwargs) if count < INLINE_EVENTS else await asyncio.to_thread(work, *args, **kwargs)


def _look_over(events: Sequence[Event], room_id: str, version: RoomVersion) -> dict[str, Verdict | None]:
    return {event.event_id: _unusable(event, room_id, version) for event in events}


def _judge_and_split(
    checks: AuthChecks, candidates: dict[str, Event]
) -> tuple[list[Judged], list[tuple[Event, str]], list[tuple[bytes, bytes]]]:
    judged, refused = judge(checks, by_auth_events(candidates))
    return judged, refused, [split(each.event) for each in judged]


def _unusable(event: Event, room_id: str, version: RoomVersion) -> Verdict | None:
    reason = why_not_storable(event)
    if event.room_id != room_id or event.room_version is not version:
        reason = "It belongs to another room"
    return None if reason is None else Verdict(event.event_id, Outcome.REJECTED, reason)


def _known(mark: EventMark, room_nid: int) -> Verdict:
    if mark.room_nid != room_nid:
        return Verdict(mark.event_id, Outcome.REJECTED, "Another room has an event with this id")
    return Verdict(mark.event_id, Outcome.KNOWN)


def _cited(events: Any, room_id: str, version: RoomVersion) -> set[str]:
    cited = {event_id for event in events for event_id in event.auth_event_ids}
    return cited | {"$" + room_id[1:]} if version.room_id_is_create_event_id else cited


def _named(candidates: dict[str, Event], room_id: str, version: RoomVersion) -> set[str]:
    return _cited(candidates.values(), room_id, version) | candidates.keys()


def _row(judged: Judged, halves: tuple[bytes, bytes], numbers: dict[str, int]) -> tuple[Any, ...]:
    event = judged.event
    auth_nids = None
    if event.state_key is not None:
        auth_nids = array_text([numbers[event_id] for event_id in dict.fromkeys(event.auth_event_ids)])
    flags = OUTLIER if judged.rejection is None else OUTLIER | REJECTED
    return (numbers[event.event_id], event.depth, event.origin_server_ts, flags, event.event_id, event.type,
            event.state_key, event.sender, *halves, auth_nids)  # fmt: skip


def _verdicts(
    candidates: dict[str, Event], judged: Sequence[Judged], refused: Sequence[tuple[Event, str]]
) -> Iterator[tuple[str, Verdict]]:
    named: set[str] = set()
    for each in judged:
        named.add(each.event.event_id)
        outcome = Outcome.OUTLIER if each.rejection is None else Outcome.REJECTED
        yield each.event.event_id, Verdict(each.event.event_id, outcome, each.rejection or "")
    for event, reason in refused:
        named.add(event.event_id)
        yield event.event_id, Verdict(event.event_id, Outcome.REJECTED, reason)
    for event_id in candidates:
        if event_id not in named:
            yield event_id, Verdict(event_id, Outcome.REJECTED, "Its auth events are a circle")
