"""Fixtures for every test: a real PostgreSQL, a clock that tests advance, the whole server in-process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from tests.clock import FakeClock
from tests.postgres import TestServer, running_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[TestServer]:
    """One PostgreSQL for the whole session (one for each worker of pytest-xdist)."""
    with running_server() as server:
        yield server


@pytest.fixture
async def database_dsn(postgres_server: TestServer) -> AsyncIterator[str]:
    """The address of a fresh, migrated database, dropped afterwards."""
    name = await postgres_server.clone()
    yield postgres_server.dsn_of(name)
    await postgres_server.drop(name)


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    """A fresh, migrated database."""
    database = Database(database_dsn, PoolLimits(max_connections=5, wait_seconds=5))
    yield database
    await database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
