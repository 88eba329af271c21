"""Which PostgreSQL errors mean "away for now" (503), as opposed to "our statement was wrong" (a bug)."""

from __future__ import annotations

import asyncio

import asyncpg

from homeserver.protocol.errors import Unavailable

# SQLSTATE classes: 08 connection, 53 resources (disk full, memory, too many connections), 57 operator intervention
# (shutdown, crash, statement cancelled by a limit), 58 the server's own disk or files.
_AWAY_CLASSES = frozenset({"08", "53", "57", "58"})
# 25006: a read-only standby after a fail-over; 25P03/25P04: a session limit; 3D000: the database is being restored;
# 40001/40P01: lost against a concurrent transaction; 55P03: a lock not got in time.
_AWAY_STATES = frozenset({"25006", "25P03", "25P04", "3D000", "40001", "40P01", "55P03"})

OUTCOME_UNKNOWN = (Unavailable, asyncio.CancelledError)
"""After these nobody knows whether a statement or a COMMIT took place: what memory says of it is not to be trusted."""

AWAY = "The database is not available right now; please try again"


def is_away(error: BaseException) -> bool:
    """True if `error` says that the database cannot answer now, and might later."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(getattr(error, "sqlstate", None) or "")
        return state[:2] in _AWAY_CLASSES or state in _AWAY_STATES
    if isinstance(error, asyncpg.InterfaceError):
        return "clos" in str(error)  # "connection is closed", "… was closed in the middle …": there is no code to ask
    if isinstance(error, asyncpg.InternalClientError):
        # Its connection still swallows PostgreSQL's farewell. A lease has one user, so it is never two at once.
        return "cannot switch to state" in str(error)
    return isinstance(error, OSError | asyncio.TimeoutError)


def unavailable(error: BaseException) -> Unavailable:
    """The 503 for `error`. Its own words stay in `__cause__` for the log: they may name hosts or file paths."""
    failure = Unavailable(AWAY)
    failure.__cause__ = error
    return failure
