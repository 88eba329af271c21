"""The database as repositories see it: five verbs, transactions you can see, and a counter of statements.

    rows = await database.fetch("SELECT … WHERE user_id = $1", user_id)

    async with database.transaction() as tx:      # opened by the service, handed to repositories
        await rooms.add(tx, room)
        await aliases.add(tx, alias, room)
    announcer.wake(...)                            # only after the commit

A repository method takes `q: Queries` first: a `Database` (the statement is its own transaction) or a `Transaction`.

Values: `bytea` is `bytes`, `bigint` is `int`, arrays are lists, `json` and `jsonb` go in and come out as `str`.

Errors: a database that is away, full or too busy raises `errors.Unavailable` (503); the next call tries again itself.
Everything else asyncpg raises (`UniqueViolationError`, …) passes through. A cancelled task leaves no open transaction:
its connection is cut off, and PostgreSQL rolls back. Cancelled during COMMIT: whether it took place is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

import asyncpg

from homeserver.storage.database_errors import is_away, unavailable
from homeserver.storage.pool import Pool, PoolLimits

Record: TypeAlias = asyncpg.Record
Isolation: TypeAlias = Literal["read committed", "repeatable read", "serializable"]


class Queries(Protocol):
    """What a repository needs from a database or from an open transaction."""

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """All rows."""
        ...

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        """The first row, or None."""
        ...

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        ...

    async def execute(self, sql: str, *args: Any) -> str:
        """Run it; the answer is PostgreSQL's command tag, like `UPDATE 3`."""
        ...

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run it for each row of arguments, all or nothing. One statement with `unnest` is faster still."""
        ...


class _Session:
    """The five verbs on one borrowed connection, with the counting and the translation of errors."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database, connection: Any) -> None:
        self._database = database
        self._connection = connection

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        self._database.statements += 1
        try:
            rows: list[Record] = await self._connection.fetch(sql, *args)
        except Exception as error:
            raise _translated(error) from error
        return rows

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        self._database.statements += 1
        try:
            return await self._connection.fetchrow(sql, *args)
        except Exception as error:
            raise _translated(error) from error

    async def fetchval(self, sql: str, *args: Any) -> Any:
        self._database.statements += 1
        try:
            return await self._connection.fetchval(sql, *args)
        except Exception as error:
            raise _translated(error) from error

    async def execute(self, sql: str, *args: Any) -> str:
        self._database.statements += 1
        try:
            return str(await self._connection.execute(sql, *args))
        except Exception as error:
            raise _translated(error) from error

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        arguments = list(rows)
        self._database.statements += len(arguments)
        try:
            await self._connection.executemany(sql, arguments)
        except Exception as error:
            raise _translated(error) from error


class _Lease:
    """Borrow a connection for one statement."""

    __slots__ = ("_database", "_lease")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lease = database.pool.lease()

    async def __aenter__(self) -> _Session:
        return _Session(self._database, await self._lease.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lease.__aexit__(kind, error, trace)


class Transaction(_Session):
    """An open transaction: a `Queries`, committed when the `async with` block ends, rolled back when it raises."""

    __slots__ = ()


class _TransactionScope:
    __slots__ = ("_begin", "_database", "_lease", "_transaction")

    def __init__(self, database: Database, begin: str) -> None:
        self._database = database
        self._lease = database.pool.lease()
        self._begin = begin

    async def __aenter__(self) -> Transaction:
        self._transaction = Transaction(self._database, await self._lease.__aenter__())
        try:
            await self._transaction.execute(self._begin)
        except BaseException as error:
            await self._lease.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._transaction

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        final = error
        try:
            await self._end(error)
        except BaseException as failure:
            final = failure
            raise
        finally:
            self._transaction._connection = _ENDED
            await self._lease.__aexit__(type(final) if final else None, final, trace)

    async def _end(self, error: BaseException | None) -> None:
        if error is None:
            await self._transaction.execute("COMMIT")
        elif not isinstance(error, asyncio.CancelledError):
            await self._roll_back()
        # else: the lease cuts the connection off; nothing may wait in a cancelled task

    async def _roll_back(self) -> None:
        try:
            await self._transaction.execute("ROLLBACK")
        except Exception as failure:
            if not is_away(failure.__cause__ or failure):  # away: PostgreSQL has rolled back already
                raise


class _Ended:
    """Stands in for the connection of a finished transaction, so that a late statement fails loudly."""

    def __getattr__(self, verb: str) -> Any:
        raise RuntimeError(f"{verb} on a transaction that has already ended")


_ENDED = _Ended()


class Database:
    """One PostgreSQL database: a pool behind the five verbs of `Queries`."""

    __slots__ = ("pool", "statements")

    def __init__(self, dsn: str, limits: PoolLimits | None = None) -> None:
        self.pool = Pool(dsn, limits or PoolLimits())
        self.statements = 0
        """Statements sent since the start, BEGIN and COMMIT included. Budget tests take the difference."""

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        async with _Lease(self) as session:
            return await session.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        async with _Lease(self) as session:
            return await session.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        async with _Lease(self) as session:
            return await session.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        async with _Lease(self) as session:
            return await session.execute(sql, *args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        async with _Lease(self) as session:
            await session.executemany(sql, rows)

    def transaction(self, *, isolation: Isolation = "read committed", read_only: bool = False) -> _TransactionScope:
        """`async with database.transaction() as tx:` commits at the end of the block, rolls back if it raises."""
        begin = "BEGIN" if isolation == "read committed" else f"BEGIN ISOLATION LEVEL {isolation.upper()}"
        return _TransactionScope(self, begin + (" READ ONLY" if read_only else ""))

    async def close(self) -> None:
        """Close the pool; statements afterwards raise `Unavailable`."""
        await self.pool.close()


def _translated(error: Exception) -> Exception:
    return unavailable(error) if is_away(error) else error
