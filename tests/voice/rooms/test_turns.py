"""Work on hundreds of people lets packets through in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from livekit.protocol import rtc

from tests.voice.rooms.stage import set_stage
from voice.sfu.embedded.rooms import turns as turns_module
from voice.sfu.embedded.rooms.turns import STEPS_A_TURN, Turns

CROWD = 3 * STEPS_A_TURN


def steps(count: int, done: list[str], name: str) -> Iterator[None]:
    for _ in range(count):
        done.append(name)
        yield


async def test_a_few_are_done_at_once() -> None:
    done: list[str] = []
    Turns().add(steps(STEPS_A_TURN - 1, done, "a"))
    assert len(done) == STEPS_A_TURN - 1


async def test_the_loop_has_its_turn_before_many_are_done_and_what_came_first_is_finished_first() -> None:
    turns, done = Turns(), []
    turns.add(steps(CROWD, done, "a"))
    turns.add(steps(2, done, "b"))
    asyncio.get_running_loop().call_soon(lambda: done.append("a packet"))
    assert len(done) == STEPS_A_TURN

    while "b" not in done:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done.index("a packet") < CROWD
    assert [name for name in done if name != "a packet"] == ["a"] * CROWD + ["b"] * 2


async def test_work_that_fails_ends_alone() -> None:
    def failing() -> Iterator[None]:
        yield
        raise ValueError("a bad room")

    turns, done = Turns(), []
    turns.add(failing())
    turns.add(steps(1, done, "b"))
    assert done == ["b"]


async def test_work_may_bring_work() -> None:
    turns, done = Turns(), []

    def parent() -> Iterator[None]:
        yield
        turns.add(steps(1, done, "child"))
        done.append("parent")

    turns.add(parent())
    assert done == ["parent", "child"]


async def test_everybody_is_told_how_good_the_paths_are_where_that_takes_several_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns_module, "STEPS_A_TURN", 2)
    stage = set_stage()
    people = stage.in_a_call("alice", "bob", "carol", "dora")

    stage.server.rounds.tell_qualities()
    for _ in range(20):
        await asyncio.sleep(0)

    for person in people:
        told = person.signal.last("connection_quality")
        assert isinstance(told, rtc.ConnectionQualityUpdate)
        assert {info.participant_sid for info in told.updates} == {person.sid for person in people}
