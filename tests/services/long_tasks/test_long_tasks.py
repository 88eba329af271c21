"""Long work that Ada has ordered: in turns, over restarts, and what becomes of it when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from homeserver.protocol.errors import Forbidden, LimitExceeded, NotFound, Unavailable
from homeserver.services.long_tasks import long_tasks
from homeserver.services.long_tasks.long_tasks import KEPT_MS, PAUSE_MS, LongTasks
from homeserver.services.long_tasks.step import AGAIN, DONE, Step
from homeserver.services.requester import on_behalf_of
from homeserver.storage.database import Database
from homeserver.storage.long_tasks import LongTask, LongTaskRows
from tests.clock import FakeClock
from tests.voice.waiting import until

ADA = on_behalf_of("@ada:test")


@dataclass
class Counting:
    """Counts up to what was wished. `order`: whose step was done when."""

    order: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    error: Exception | None = None
    failures: int = 0
    not_before_ms: int = 0

    async def step(self, task: LongTask) -> Step:
        if self.error is not None:
            self.failures += 1
            raise self.error
        self.order.append(task.target)
        task.progress["count"] = task.progress.get("count", 0) + 1
        if task.progress["count"] == task.wish["up_to"]:
            return DONE
        return Step(not_before_ms=self.not_before_ms) if self.not_before_ms else AGAIN

    async def finished(self, task: LongTask) -> None:
        self.closed.append(task.target)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
async def tasks(database: Database, clock: FakeClock, counting: Counting) -> AsyncIterator[LongTasks]:
    tasks = LongTasks(database, LongTaskRows(), clock, {"count": counting})
    yield tasks
    await tasks.stop()


async def ordered(tasks: LongTasks, target: str, up_to: int) -> LongTask:
    task = await tasks.order(tasks.database, ADA, "count", target, {"up_to": up_to})
    tasks.start(task)
    return task


async def settled(tasks: LongTasks) -> None:
    async with asyncio.timeout(5):
        await tasks.settled()


async def test_all_take_turns(tasks: LongTasks, counting: Counting) -> None:
    for target, up_to in (("large", 4), ("small", 1), ("other", 2)):
        await ordered(tasks, target, up_to)
    await tasks.begin()
    await settled(tasks)
    assert counting.order == ["large", "small", "other", "large", "other", "large", "large"]
    assert counting.closed == ["small", "other", "large"]


async def test_the_next_start_goes_on_where_this_one_ended(
    tasks: LongTasks, database: Database, clock: FakeClock, counting: Counting
) -> None:
    counting.not_before_ms = clock.now_ms() + 1_000_000
    task = await ordered(tasks, "room", 3)
    await tasks.begin()
    await until(lambda: counting.order)
    await tasks.stop()
    assert (await LongTaskRows().unfinished(database))[0].progress == {"count": 1}
    counting.not_before_ms = 0
    again = LongTasks(database, LongTaskRows(), clock, {"count": counting})
    await again.load()
    await again.begin()
    await settled(again)
    assert len(counting.order) == 3
    found = await again.get("count", task.task_id)
    assert (found.status, found.progress, found.ordered_by) == ("complete", {"count": 3}, "@ada:test")
    await again.stop()


async def test_what_cannot_be_done_has_failed_and_says_why(tasks: LongTasks, counting: Counting) -> None:
    counting.error = Forbidden("Not there")
    task = await ordered(tasks, "room", 1)
    await tasks.begin()
    await settled(tasks)
    found = await tasks.get("count", task.task_id)
    assert (found.status, found.error) == ("failed", "Not there")
    counting.error = ValueError("a secret of ours")
    task = await ordered(tasks, "room", 1)
    await settled(tasks)
    found = await tasks.get("count", task.task_id)
    assert found.status == "failed"
    assert "secret" not in (found.error or "")
    assert counting.closed == ["room", "room"]


async def test_a_database_that_was_away_is_asked_again(tasks: LongTasks, counting: Counting, clock: FakeClock) -> None:
    counting.error = Unavailable("away")
    await ordered(tasks, "room", 1)
    await tasks.begin()
    await until(lambda: counting.failures)
    counting.error = None
    async with asyncio.timeout(5):
        while not counting.order:
            clock.advance(ms=PAUSE_MS)
            await asyncio.sleep(0.01)
    await settled(tasks)
    assert (counting.order, counting.failures, counting.closed) == (["room"], 1, ["room"])


async def test_what_waits_keeps_nobody_else_waiting(tasks: LongTasks, counting: Counting, clock: FakeClock) -> None:
    counting.not_before_ms = clock.now_ms() + 5_000
    await ordered(tasks, "patient", 2)
    await tasks.begin()
    await until(lambda: counting.order == ["patient"])
    counting.not_before_ms = 0
    await ordered(tasks, "quick", 2)
    clock.advance(ms=PAUSE_MS)
    await until(lambda: counting.closed == ["quick"])
    assert counting.order == ["patient", "quick", "quick"]
    clock.advance(ms=5_000)
    await settled(tasks)
    assert counting.closed == ["quick", "patient"]


async def test_there_is_an_end_to_what_can_be_ordered(tasks: LongTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_tasks, "MAX_UNFINISHED", 2)
    for _ in range(2):
        await ordered(tasks, "room", 1)
    with pytest.raises(LimitExceeded):
        await ordered(tasks, "room", 1)


async def test_old_ones_are_forgotten_and_kinds_are_told_apart(tasks: LongTasks, clock: FakeClock) -> None:
    task = await ordered(tasks, "room", 1)
    await tasks.begin()
    await settled(tasks)
    with pytest.raises(NotFound):
        await tasks.get("other", task.task_id)
    assert [each.task_id for each in await tasks.of_target("count", "room")] == [task.task_id]
    clock.advance(ms=KEPT_MS + 1)
    await tasks.tidy()
    assert await tasks.of_target("count", "room") == []


@dataclass
class Hostile:
    """What it is told by another server goes into the database. `bytes` are no JSON at all."""

    words: object = "not \0 so\\u0000"

    async def step(self, task: LongTask) -> Step:
        task.progress["failed"] = {"$event": self.words}
        if task.target == "room that fails":
            raise Forbidden("No\0")
        return DONE

    async def finished(self, task: LongTask) -> None:
        """Nothing waits for it."""


async def test_no_words_of_another_server_end_the_work(tasks: LongTasks, counting: Counting) -> None:
    hostile = Hostile()
    tasks.handlers["hostile"] = hostile
    found = []
    for target in ("room", "room that fails"):
        task = await tasks.order(tasks.database, ADA, "hostile", target, {})
        tasks.start(task)
        found.append(task)
    await tasks.begin()
    await settled(tasks)
    done, failed = [await tasks.get("hostile", task.task_id) for task in found]
    assert (done.status, failed.status, failed.error) == ("complete", "failed", "No\ufffd")
    assert done.progress["failed"]["$event"] == "not \ufffd so\\ufffd"
    # Nor does what nobody can write down.
    hostile.words = b"no text"
    tasks.start(await tasks.order(tasks.database, ADA, "hostile", "another room", {}))
    await settled(tasks)
    await ordered(tasks, "room", 1)
    await settled(tasks)
    assert counting.order == ["room"]
