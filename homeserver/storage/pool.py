"""A pool of PostgreSQL connections: bounded, with time limits, and back by itself after the database was away.

Why not asyncpg's own pool: it resets every connection with one more statement at each release, and shields each release
in a task of its own; both cost more than the indexed query between them. What a pool must promise here is short:

- no more than `max_connections`, no more than `max_waiting` in the queue, nobody waits longer than `wait_seconds`;
- a connection goes back only when it is clean: closed, inside a transaction, or left by a cancelled task means thrown
  away, and PostgreSQL rolls back what was open on it;
- the most recently used connection is handed out first, so spare ones fall idle and are closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import asyncpg

from homeserver.protocol.errors import Unavailable
from homeserver.storage.database_errors import is_away, unavailable


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits of one pool. Seconds throughout; `statement_seconds` is enforced by PostgreSQL, `answer_seconds` by us."""

    max_connections: int = 10
    max_waiting: int = 2_000
    wait_seconds: float = 20.0
    connect_seconds: float = 5.0
    statement_seconds: float = 60.0
    answer_seconds: float = 75.0
    idle_seconds: float = 300.0

    def session_settings(self) -> Mapping[str, str]:
        """What every connection asks of PostgreSQL. JIT would compile for milliseconds what takes microseconds."""
        milliseconds = str(int(self.statement_seconds * 1000))
        return {
            "application_name": "voicechat",
            "jit": "off",
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        }


@dataclass(slots=True)
class _Idle:
    connection: asyncpg.Connection
    since: float


@dataclass(slots=True)
class Pool:
    """Connections to one database. Made closed; the first `lease()` connects."""

    dsn: str
    limits: PoolLimits = field(default_factory=PoolLimits)
    in_use: int = 0
    waiting: int = 0
    _idle: deque[_Idle] = field(default_factory=deque)
    _slots: asyncio.Semaphore = field(init=False)
    _closed: bool = False

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.limits.max_connections)

    @property
    def open_connections(self) -> int:
        return self.in_use + len(self._idle)

    def lease(self) -> Lease:
        """`async with pool.lease() as connection:` borrows a connection, or raises `Unavailable` (503)."""
        return Lease(self)

    async def acquire(self) -> asyncpg.Connection:
        """Borrow a connection; every one must come back through `release`."""
        await self._take_slot()
        try:
            connection = self._pop_idle() or await self._connect()
        except BaseException:
            self._slots.release()
            raise
        self.in_use += 1
        return connection

    def release(self, connection: asyncpg.Connection, *, clean: bool = True) -> None:
        """Give a connection back. Never waits: an unclean one is cut off, and PostgreSQL rolls back by itself."""
        self.in_use -= 1
        self._slots.release()
        if clean and not self._closed and not connection.is_closed() and not connection.is_in_transaction():
            self._idle.append(_Idle(connection, time.monotonic()))
            self._close_spare()
        else:
            connection.terminate()

    async def close(self) -> None:
        """Close the idle connections now and the borrowed ones as they come back."""
        self._closed = True
        while self._idle:
            try:
                await self._idle.popleft().connection.close(timeout=2)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                continue  # it is gone already, which is what was wanted

    async def _take_slot(self) -> None:
        if self._closed:
            raise Unavailable("The server is shutting down")
        if not self._slots.locked():
            await self._slots.acquire()
            return
        if self.waiting >= self.limits.max_waiting:
            raise Unavailable("The server is too busy right now; please try again")
        self.waiting += 1
        try:
            async with asyncio.timeout(self.limits.wait_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise unavailable(error) from error
        finally:
            self.waiting -= 1

    def _pop_idle(self) -> asyncpg.Connection | None:
        while self._idle:
            connection = self._idle.pop().connection
            if not connection.is_closed():  # asyncpg has read the end of the stream if PostgreSQL went away meanwhile
                return connection
        return None

    async def _connect(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                self.dsn,
                timeout=self.limits.connect_seconds,
                command_timeout=self.limits.answer_seconds,
                server_settings=dict(self.limits.session_settings()),
            )
        except Exception as error:
            if is_away(error):
                raise unavailable(error) from error
            raise

    def _close_spare(self) -> None:
        """Close the connection that has been idle longest, if too long. One a release is enough and costs no timer."""
        if time.monotonic() - self._idle[0].since > self.limits.idle_seconds:
            self._idle.popleft().connection.terminate()


class Lease:
    """One borrowed connection as a context manager; leaving it by cancellation throws the connection away."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        self._connection = await self._pool.acquire()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A cancelled task may have left a statement running: asyncpg would first have to cancel it on the server.
        # After `Unavailable` (the answer did not come in time, the disk is full, …) there is the same doubt.
        interrupted = isinstance(error, asyncio.CancelledError | Unavailable)
        self._pool.release(self._connection, clean=not interrupted)
