"""The database layer against a real PostgreSQL: transactions, cancellation, limits, and a database that goes away."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from homeserver.protocol.errors import Unavailable
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits


@pytest.fixture
async def notes(database: Database) -> Database:
    await database.execute("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    return database


async def count(database: Database) -> int:
    return int(await database.fetchval("SELECT count(*) FROM notes"))


async def open_transactions(database: Database) -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
    return int(await database.fetchval(f"{sql} AND pid <> pg_backend_pid()"))


async def test_the_five_verbs(notes: Database) -> None:
    assert await notes.execute("INSERT INTO notes VALUES ($1, $2)", 1, "one") == "INSERT 0 1"
    await notes.executemany("INSERT INTO notes VALUES ($1, $2)", [(2, "two"), (3, "three")])
    assert [row["text"] for row in await notes.fetch("SELECT text FROM notes ORDER BY id")] == ["one", "two", "three"]
    assert await notes.fetchrow("SELECT * FROM notes WHERE id = 9") is None
    assert await notes.fetchval("SELECT text FROM notes WHERE id = $1", 2) == "two"


async def test_a_transaction_commits_at_the_end_of_its_block(notes: Database) -> None:
    async with notes.transaction() as tx:
        await tx.execute("INSERT INTO notes VALUES (1, 'a')")
        assert await count(notes) == 0, "nobody else sees it yet"
    assert await count(notes) == 1


async def test_an_error_rolls_back_and_passes_through(notes: Database) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with notes.transaction() as tx:
            await tx.execute("INSERT INTO notes VALUES (1, 'a')")
            await tx.execute("INSERT INTO notes VALUES (1, 'again')")
    assert await count(notes) == 0
    assert notes.pool.open_connections == 1, "the connection is clean and was kept"


async def test_a_statement_after_the_end_of_its_transaction_is_a_loud_mistake(notes: Database) -> None:
    async with notes.transaction() as tx:
        pass
    with pytest.raises(RuntimeError, match="already ended"):
        await tx.execute("SELECT 1")


async def test_a_read_only_repeatable_read_transaction_sees_one_moment(notes: Database) -> None:
    async with notes.transaction(isolation="repeatable read", read_only=True) as tx:
        assert await tx.fetchval("SELECT count(*) FROM notes") == 0
        await notes.execute("INSERT INTO notes VALUES (1, 'a')")
        assert await tx.fetchval("SELECT count(*) FROM notes") == 0


async def test_statements_are_counted_with_begin_and_commit(notes: Database) -> None:
    before = notes.statements
    async with notes.transaction() as tx:
        await tx.fetchval("SELECT 1")
    await notes.executemany("INSERT INTO notes VALUES ($1, '')", [(1,), (2,)])
    assert notes.statements - before == 5


async def test_a_cancelled_task_leaves_no_open_transaction(notes: Database) -> None:
    written = asyncio.Event()

    async def write_and_hang() -> None:
        async with notes.transaction() as tx:
            await tx.execute("INSERT INTO notes VALUES (1, 'half')")
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_hang())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await notes.execute("INSERT INTO notes VALUES (1, 'whole')")  # would wait for the other's lock if it were open
    assert await open_transactions(notes) == 0
    assert notes.pool.in_use == 0


async def test_a_task_cancelled_in_the_middle_of_a_statement_gives_its_place_back(database_dsn: str) -> None:
    database = Database(database_dsn, PoolLimits(max_connections=1))
    for _ in range(3):
        task = asyncio.create_task(database.fetchval("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await database.fetchval("SELECT 1") == 1
    await database.close()


async def test_no_more_than_the_limit_of_connections_and_the_others_wait_their_turn(database_dsn: str) -> None:
    database = Database(database_dsn, PoolLimits(max_connections=2))
    await asyncio.gather(*(database.fetchval("SELECT pg_sleep(0.01)") for _ in range(10)))
    assert database.pool.open_connections <= 2
    await database.close()


async def test_waiting_too_long_or_in_too_long_a_queue_is_503(database_dsn: str) -> None:
    database = Database(database_dsn, PoolLimits(max_connections=1, max_waiting=1, wait_seconds=0.05))
    async with database.transaction():
        waiting = asyncio.create_task(database.fetchval("SELECT 1"))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await database.fetchval("SELECT 2")  # the queue of one is full
        with pytest.raises(Unavailable):
            await waiting
    assert await database.fetchval("SELECT 3") == 3
    await database.close()


async def test_a_statement_over_its_time_limit_is_503(database_dsn: str) -> None:
    database = Database(database_dsn, PoolLimits(max_connections=1, statement_seconds=0.1))
    with pytest.raises(Unavailable):
        await database.fetchval("SELECT pg_sleep(5)")
    assert await database.fetchval("SELECT 1") == 1
    await database.close()


async def test_a_frozen_server_is_503_and_its_connection_is_not_used_again(database_dsn: str) -> None:
    database = Database(database_dsn, PoolLimits(max_connections=1, answer_seconds=0.1))
    with pytest.raises(Unavailable):
        await database.fetchval("SELECT pg_sleep(5)")
    assert database.pool.open_connections == 0
    assert await database.fetchval("SELECT 1") == 1
    await database.close()


async def test_lost_connections_are_503_once_and_replaced(notes: Database) -> None:
    with pytest.raises(Unavailable):
        async with notes.transaction() as victim:
            pid = await victim.fetchval("SELECT pg_backend_pid()")
            await notes.fetchval("SELECT pg_terminate_backend($1)", pid)
            await victim.fetchval("SELECT 1")
    assert await count(notes) == 0


async def test_the_end_of_the_block_reports_a_commit_that_could_not_be(notes: Database) -> None:
    with pytest.raises(Unavailable):
        async with notes.transaction() as tx:
            await tx.execute("INSERT INTO notes VALUES (1, 'lost')")
            await notes.fetchval("SELECT pg_terminate_backend($1)", await tx.fetchval("SELECT pg_backend_pid()"))
    assert await count(notes) == 0


async def test_no_database_at_all_is_503(unused_tcp_port: int) -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/none", PoolLimits(connect_seconds=1))
    with pytest.raises(Unavailable) as failure:
        await database.fetchval("SELECT 1")
    assert failure.value.status == 503
    assert "127.0.0.1" not in failure.value.message, "addresses stay in the log"


async def test_a_full_disk_is_503_and_over_when_there_is_room_again(notes: Database) -> None:
    raise_disk_full = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'no space left'; END $$"
    with pytest.raises(Unavailable):
        async with notes.transaction() as tx:
            await tx.execute("INSERT INTO notes VALUES (1, 'a')")
            await tx.execute(raise_disk_full)
    assert await count(notes) == 0


async def test_deadlocked_transactions_one_is_told_to_try_again(notes: Database) -> None:
    await notes.executemany("INSERT INTO notes VALUES ($1, '')", [(1,), (2,)])
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with notes.transaction() as tx:
            await tx.execute("UPDATE notes SET text = 'x' WHERE id = $1", first)
            await both_hold_one.wait()
            await tx.execute("UPDATE notes SET text = 'x' WHERE id = $1", second)

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "Unavailable"]


async def test_spare_connections_are_closed_when_idle_for_long(database_dsn: str) -> None:
    database = Database(database_dsn, PoolLimits(idle_seconds=0.0))
    await asyncio.gather(*(database.fetchval("SELECT pg_sleep(0.01)") for _ in range(4)))
    for _ in range(4):
        await database.fetchval("SELECT 1")
    assert database.pool.open_connections <= 1
    await database.close()


async def test_after_close_nothing_runs(database_dsn: str) -> None:
    database = Database(database_dsn)
    await database.fetchval("SELECT 1")
    await database.close()
    with pytest.raises(Unavailable):
        await database.fetchval("SELECT 1")
