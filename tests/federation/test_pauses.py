"""Servers that fail are left alone, also after a restart."""

from __future__ import annotations

import pytest

from homeserver.federation.errors import DestinationPaused
from homeserver.federation.pauses import Pauses
from homeserver.storage.database import Database
from homeserver.storage.unreachable_servers import UnreachableServerRows
from tests.clock import FakeClock

SECOND_MS = 1000


def pauses_of(database: Database, clock: FakeClock, *, chance: float = 0.5, initial_ms: int = 10 * SECOND_MS) -> Pauses:
    return Pauses(database, UnreachableServerRows(), clock, lambda: chance, initial_ms, 60 * SECOND_MS)


async def test_a_restart_forgets_no_failure(database: Database, clock: FakeClock) -> None:
    pauses = pauses_of(database, clock)
    for name in ("down.example", "back.example"):
        pauses.failed(name)
    await pauses.store()
    pauses.reached("back.example")
    await pauses.store()
    again = pauses_of(database, clock)
    await again.load()
    again.check("back.example")
    with pytest.raises(DestinationPaused):
        again.check("down.example")
    clock.advance(seconds=10)
    again.check("down.example")
    again.failed("down.example")
    assert again.retry_at_ms("down.example") == clock.now_ms() + 20 * SECOND_MS


async def test_failures_at_the_same_time_count_once(database: Database, clock: FakeClock) -> None:
    pauses = pauses_of(database, clock)
    for _ in range(20):
        pauses.failed("down.example")
    assert pauses.retry_at_ms("down.example") == clock.now_ms() + 10 * SECOND_MS


@pytest.mark.parametrize(("chance", "pause_ms"), [(0.0, 8 * SECOND_MS), (1.0, 12 * SECOND_MS)])
async def test_not_all_come_back_at_once(database: Database, clock: FakeClock, chance: float, pause_ms: int) -> None:
    pauses = pauses_of(database, clock, chance=chance)
    pauses.failed("down.example")
    assert pauses.retry_at_ms("down.example") == clock.now_ms() + pause_ms


async def test_an_administrator_may_want_no_pauses(database: Database, clock: FakeClock) -> None:
    pauses = pauses_of(database, clock, initial_ms=0)
    for _ in range(5):
        pauses.failed("down.example")
        pauses.check("down.example")


async def test_many_servers_are_stored_with_two_statements(database: Database, clock: FakeClock) -> None:
    pauses = pauses_of(database, clock)
    for number in range(100):
        pauses.failed(f"down{number}.example")
    await pauses.store()
    for number in range(50):
        pauses.reached(f"down{number}.example")
        pauses.failed(f"further{number}.example")
    before = database.statements
    await pauses.store()
    assert database.statements - before == 2
    before = database.statements
    await pauses.store()
    assert database.statements == before
    assert await database.fetchval("SELECT count(*) FROM unreachable_servers") == 100


async def test_names_of_strangers_fill_neither_memory_nor_table(database: Database, clock: FakeClock) -> None:
    pauses = pauses_of(database, clock)
    pauses._pauses._capacity = 10
    for number in range(50):
        pauses.failed(f"no{number}.example")
    await pauses.store()
    assert pauses.memory_usage() == {"failing": 10}
    assert await database.fetchval("SELECT count(*) FROM unreachable_servers") == 10


async def test_servers_that_nobody_asks_for_are_forgotten(database: Database, clock: FakeClock) -> None:
    pauses = pauses_of(database, clock)
    pauses.failed("down.example")
    await pauses.store()
    clock.advance(days=29)
    await pauses.tidy()
    assert await database.fetchval("SELECT count(*) FROM unreachable_servers") == 1
    clock.advance(days=2)
    await pauses.tidy()
    assert await database.fetchval("SELECT count(*) FROM unreachable_servers") == 0
