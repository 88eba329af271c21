"""Filling a gap: whom alpha asks, what it takes of the answers, and what it does when nobody has anything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from homeserver.federation.backfill import FAILED_FOR_MS, MAX_OPEN_ENDS, Backfill
from homeserver.federation.errors import BadAnswer
from homeserver.protocol.errors import ConnectionFailed
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Standing, ToldState, Verdict
from tests.clock import FakeClock
from tests.federation.foreign_rooms import MALLORY, ForeignRoom

HIGH = 1000


@dataclass(slots=True)
class Others:
    """Other servers by name: what each says to /backfill; and everything that Backfill is connected to."""

    answers: dict[str, list[Event] | Exception]
    known: dict[str, Standing] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    states_asked: list[str] = field(default_factory=list)
    filled: list[tuple[list[Event], list[ToldState]]] = field(default_factory=list)
    is_refused: bool = False
    room: Any = None
    wait: asyncio.Event | None = None
    heights: list[int] = field(default_factory=list)
    """Of the gaps that were filled."""
    tops: dict[int, int] = field(default_factory=dict)
    """Depths of the events above gaps."""

    def likeliest(self, room: Any) -> list[str]:
        return list(self.answers)

    async def backfill(
        self, destination: str, room_id: str, version: Any, *, before: Sequence[str], limit: int
    ) -> list[Event]:
        self.asked.append(destination)
        if self.wait is not None:
            await self.wait.wait()
        answer = self.answers[destination]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def state_before(self, destination: str, room: Any, event_id: str) -> Any:
        self.states_asked.append(event_id)
        return {("m.room.create", ""): "$create"}

    async def auth_events(self, destination: str, room: Any, events: Sequence[Event]) -> None:
        assert events

    async def standings(self, room_nid: int, event_ids: Collection[str]) -> dict[str, Standing]:
        return {event_id: self.known[event_id] for event_id in event_ids if event_id in self.known}

    async def fill(self, room: Any, high: int, events: Sequence[Event], told: Sequence[ToldState]) -> list[Verdict]:
        self.heights.append(high)
        self.filled.append((list(events), list(told)))
        if not self.is_refused:
            self.room.gaps = tuple(gap for gap in self.room.gaps if gap.high != high)
        return []

    async def depths(self, room_nid: int, positions: Sequence[int]) -> dict[int, int]:
        return {position: self.tops[position] for position in positions}

    async def get(self, room_id: str) -> Any:
        return self.room


def backfill(others: Others, clock: FakeClock) -> Backfill:
    parts: Any = others
    return Backfill(parts, parts, parts, others.standings, others.fill, parts, clock, others.depths)


def our_side(others: Others, *missing: Event, high: int = HIGH) -> Any:
    gap = SimpleNamespace(low=0, high=high, missing=tuple(event.event_id for event in missing))
    others.room = SimpleNamespace(
        room_id="!r", room_nid=1, version=None, joined_local={"@alice:alpha.example"}, gaps=(gap,)
    )
    return others.room


@pytest.fixture
def lair() -> ForeignRoom:
    return ForeignRoom.create("11")


def said(lair: ForeignRoom, count: int = 5) -> list[Event]:
    return [lair.send(MALLORY, str(number)) for number in range(count)]


async def test_the_next_server_is_asked_where_one_has_nothing(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    elsewhere = said(ForeignRoom.create("11", name="elsewhere"))
    others = Others({"a": ConnectionFailed(), "b": BadAnswer("?"), "c": [], "d": elsewhere, "e": events, "f": events})
    assert await backfill(others, clock)(our_side(others, events[-1]), HIGH)
    assert others.asked == ["a", "b", "c", "d", "e"]
    [(filled, told)] = others.filled
    assert {event.event_id for event in filled} == {event.event_id for event in events}
    [oldest] = events[0].prev_event_ids
    assert others.states_asked == [events[0].event_id]
    assert told == [ToldState(oldest, {("m.room.create", ""): "$create"})]


async def test_no_state_is_asked_for_where_we_have_what_was_before(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    others = Others({"a": events}, known={events[0].prev_event_ids[0]: Standing.IN_TIMELINE})
    assert await backfill(others, clock)(our_side(others, events[-1]), HIGH)
    assert (others.states_asked, others.filled[0][1]) == ([], [])
    # As state of the room we may have it, and not know what was before it.
    others = Others({"a": events}, known={events[0].prev_event_ids[0]: Standing.OUTLIER})
    assert await backfill(others, clock)(our_side(others, events[-1]), HIGH)
    assert others.states_asked == [events[0].event_id]


async def test_the_beginning_of_the_room_needs_no_state(lair: ForeignRoom, clock: FakeClock) -> None:
    events = [*lair.events.values(), *said(lair)]
    others = Others({"a": events})
    assert await backfill(others, clock)(our_side(others, events[-1]), HIGH)
    assert (others.states_asked, len(others.filled[0][0])) == ([], len(events))


async def test_readers_do_not_wait_again_for_a_minute_after_a_failure(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    others = Others({"a": ConnectionFailed()})
    fill = backfill(others, clock)
    for _ in range(3):
        assert not await fill(our_side(others, events[-1]), HIGH)
    assert others.asked == ["a"]
    clock.advance(ms=FAILED_FOR_MS)
    others.answers["a"] = events
    assert await fill(our_side(others, events[-1]), HIGH)


async def test_events_that_are_refused_are_no_progress(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    others = Others({"a": events, "b": events}, is_refused=True)
    fill = backfill(others, clock)
    assert not await fill(our_side(others, events[-1]), HIGH)
    assert not await fill(our_side(others, events[-1]), HIGH)
    assert others.asked == ["a", "b"]


async def test_readers_who_come_together_ask_once(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    others = Others({"a": events}, wait=asyncio.Event())
    fill, room = backfill(others, clock), our_side(others, events[-1])
    readers = [asyncio.create_task(fill(room, HIGH)) for _ in range(5)]
    while not others.asked:
        await asyncio.sleep(0)
    readers[0].cancel()
    assert others.wait is not None
    others.wait.set()
    assert (await asyncio.gather(*readers[1:]), others.asked) == ([True] * 4, ["a"])


async def test_mallory_forks_history_without_end(lair: ForeignRoom, clock: FakeClock) -> None:
    leaves = [
        lair.build(MALLORY, "m.room.message", {"body": str(number)}, prev=[f"${number}"], auth=[])
        for number in range(MAX_OPEN_ENDS + 1)
    ]
    top = lair.build(MALLORY, "m.room.message", {}, prev=[event.event_id for event in leaves], auth=[])
    others = Others({"a": [top, *leaves]})
    assert not await backfill(others, clock)(our_side(others, top), HIGH)
    assert (others.states_asked, others.filled) == ([], [])


async def test_who_has_left_asks_nobody(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    others = Others({"a": events})
    room = our_side(others, events[-1])
    room.joined_local = set()
    assert not await backfill(others, clock)(room, HIGH)
    assert not await backfill(others, clock)(our_side(others, events[-1], high=HIGH + 1), HIGH)
    assert others.asked == []


def gap_below(others: Others, high: int, depth: int, *missing: Event) -> None:
    """One more, whose top has that depth."""
    gap = SimpleNamespace(low=0, high=high, missing=tuple(event.event_id for event in missing))
    others.room.gaps = (gap, *others.room.gaps)
    others.tops[high] = depth


async def test_what_may_belong_below_goes_there_first(lair: ForeignRoom, clock: FakeClock) -> None:
    """An outage has left two gaps: what is above the lower one is built on some of what the upper one misses."""
    events = said(lair, 10)
    others = Others({"a": events})
    room, fill = our_side(others, events[-1]), backfill(others, clock)
    gap_below(others, HIGH // 2, events[6].depth, events[5])
    gap_below(others, HIGH // 4, events[0].depth - 1, *said(ForeignRoom.create("11", name="elsewhere")))
    assert await fill(room, HIGH)
    assert await fill(room, HIGH)
    assert others.heights == [HIGH // 2, HIGH]


async def test_a_gap_below_that_nobody_fills_holds_up_nothing(lair: ForeignRoom, clock: FakeClock) -> None:
    events = said(lair)
    others = Others({"a": events})
    room = our_side(others, events[-1])
    gap_below(others, HIGH // 2, events[3].depth, *said(ForeignRoom.create("11", name="elsewhere")))
    assert await backfill(others, clock)(room, HIGH)
    assert others.heights == [HIGH]
