"""Events of others arrive while our own users do something in the same room: at whatever moment, none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from homeserver.services.foreign_events.outcomes import Outcome
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.event_states import EventStates
from homeserver.storage.pdus import Pdus
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.services.foreign_events.houses import BOB, House

CAROL = "@carol:peer.example"
LEVELS = "m.room.power_levels"
VERSIONS = ("1", "2", "10", "12")


def once_after(
    monkeypatch: pytest.MonkeyPatch, of: type, verb: str, then: Callable[[], Awaitable[Any]], about: str = ""
) -> None:
    """Something happens as soon as the database has answered this question (about this event) for the first time."""
    original, happened = getattr(of, verb), False

    async def asked(self: Any, *arguments: Any) -> Any:
        nonlocal happened
        answer = await original(self, *arguments)
        if not happened and (not about or about in arguments[1]):
            happened = True
            await then()
        return answer

    monkeypatch.setattr(of, verb, asked)


def hold_commits(monkeypatch: pytest.MonkeyPatch, house: House) -> asyncio.Event:
    """What is sent waits on its way to the disk until the event is set."""
    gate, commit = asyncio.Event(), house.kernel.writer._commit

    async def held(batch: Any) -> None:
        await gate.wait()
        await commit(batch)

    monkeypatch.setattr(house.kernel.writer, "_commit", held)
    return gate


async def begin(house: House, room: ForeignRoom, event_type: str, content: dict[str, Any], key: str | None = None) -> (
    asyncio.Task[TimelineEvent]
):  # fmt: skip
    """Bob sends, and the room's tip has moved; it is not committed yet."""
    live = await house.base.cache.get(room.room_id)
    version = live.tip.version
    sending = asyncio.create_task(house.send(room.room_id, BOB, event_type, content, key))
    while live.tip.version == version:
        assert not sending.done(), await sending
        await asyncio.sleep(0)
    return sending


async def joined(house: House, version: str) -> ForeignRoom:
    """Mallory's room; Bob, who is ours, has all power that can be given."""
    room = ForeignRoom.create(version)
    await house.adopt(room)
    await house.receive(room, room.set(MALLORY, LEVELS, {"users": powers(version)}))
    return room


def powers(version: str) -> dict[str, int]:
    """Creators have no level where they have all power."""
    return {BOB: 100} if version == "12" else {MALLORY: 100, BOB: 100}


@pytest.mark.parametrize("version", VERSIONS)
async def test_levels_of_ours_are_committed_while_a_join_is_resolved_with_them(
    house: House, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """They were not in the database when they were looked for there, and not in memory when that was looked at."""
    room = await joined(house, version)
    join = room.build(CAROL, "m.room.member", {"membership": "join"}, CAROL)
    gate = hold_commits(monkeypatch, house)
    sending = await begin(house, room, LEVELS, {"users": powers(version), "ban": 70}, "")

    async def committed() -> None:
        gate.set()
        await sending

    pending = (await house.base.cache.get(room.room_id)).pending_state[LEVELS, ""]
    assert pending is not None
    once_after(monkeypatch, Pdus, "pdus", committed, about=pending.event_id)
    assert await house.outcomes(room, join) == [Outcome.ACCEPTED]
    assert gate.is_set()
    state = await house.state(room.room_id)
    assert state["m.room.member", CAROL] == join.event_id
    assert state[LEVELS, ""] == (await sending).event_id
    assert await house.stored_state(room.room_id) == state


async def test_what_an_arrival_is_built_on_is_the_tip_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be looked up about the tip; but Bob speaks after the rest was looked up."""
    room = await joined(house, "10")
    first = await house.send(room.room_id, BOB, "m.room.message", {"body": "is anybody here?"})
    auth = room.build(MALLORY, "m.room.message", {"body": "yes"}).auth_event_ids
    answer = room.build(MALLORY, "m.room.message", {"body": "yes"}, prev=[first.event_id], auth=auth)

    async def speaks() -> None:
        await house.send(room.room_id, BOB, "m.room.message", {"body": "nobody?"})

    once_after(monkeypatch, EventStates, "places", speaks, about=answer.event_id)
    assert await house.outcomes(room, answer) == [Outcome.ACCEPTED]
    *_, question, told = await house.timeline(room.room_id)
    assert told == answer.event_id
    live = await house.base.cache.get(room.room_id)
    assert set(live.tip.extremities) == {question, answer.event_id}
