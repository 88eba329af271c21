"""Fixtures for every test: a real PostgreSQL, a clock that tests advance, the whole server in-process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.settings import Settings
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.gateway import PushGateway, push_gateway
from tests.homeserver import running_homeserver, server_settings
from tests.mail import MailServer, mail_server
from tests.postgres import TestServer, running_server
from voice.sfu.backend import SfuBackend


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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The server's settings; override this fixture in a test module for others."""
    return server_settings(tmp_path)


@pytest.fixture
def sfu() -> SfuBackend | None:
    """What forwards calls; a test module that joins some overrides it with tests/voice/recording_backend.py."""
    return None


@pytest.fixture
async def server(
    database_dsn: str, clock: FakeClock, settings: Settings, sfu: SfuBackend | None
) -> AsyncIterator[Server]:
    """The whole homeserver, listening, with a fresh database and a clock that stands still."""
    async with running_homeserver(settings, database_dsn, clock, sfu) as server:
        yield server


@pytest.fixture
async def ada(server: Server) -> Client:
    """The administrator."""
    return await server.administrator()


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """The operator's mail server; `server_settings(…, email=mail.settings())` has ours use it."""
    async with mail_server() as mail:
        yield mail


@pytest.fixture
async def gateway() -> AsyncIterator[PushGateway]:
    """A push gateway on 127.0.0.1, which `outgoing_http` has to allow."""
    async with push_gateway() as gateway:
        yield gateway
