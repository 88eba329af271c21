"""PostgreSQL for tests: one server a test session, one migrated template, one clone of it a test.

A clone is six hundred small files: about 30 ms in memory, ten times that on many a disk.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from homeserver.storage.embedded import EmbeddedPostgres
from homeserver.storage.migrations.migrate import migrate

EXTERNAL_URL = "VOICECHAT_TEST_DATABASE_URL"
MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux. In containers it is often too small."""
ENOUGH_MEMORY = 1024 * 1024 * 1024
FOLDER_PREFIX = "voicechat-test-"


@dataclass(slots=True)
class TestServer:
    """A PostgreSQL in which tests make and drop databases."""

    __test__ = False

    maintenance_dsn: str
    clone_options: str = ""
    prefix: str = field(default_factory=lambda: f"voicechat_test_{os.getpid()}")
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def template(self) -> str:
        return f"{self.prefix}_template"

    def dsn_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.maintenance_dsn)._replace(path=f"/{database}"))

    async def make_template(self) -> None:
        await self._maintain(f"CREATE DATABASE {self.template} TEMPLATE template0 ENCODING 'UTF8'")
        await migrate(self.dsn_of(self.template))

    async def clone(self) -> str:
        """The name of a fresh database with the current schema."""
        name = f"{self.prefix}_{next(self._numbers)}"
        await self._maintain(f"CREATE DATABASE {name} TEMPLATE {self.template} {self.clone_options}")
        return name

    async def create_empty(self) -> str:
        """The name of a fresh database without any table."""
        name = f"{self.prefix}_{next(self._numbers)}"
        await self._maintain(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return name

    async def drop(self, name: str) -> None:
        await self._maintain(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _maintain(self, sql: str) -> None:
        connection = await asyncpg.connect(self.maintenance_dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@contextmanager
def running_server() -> Iterator[TestServer]:
    """An embedded PostgreSQL without durability, or the server of VOICECHAT_TEST_DATABASE_URL."""
    if url := os.environ.get(EXTERNAL_URL):
        yield from _with_template(TestServer(url))
        return
    _clear_memory()
    prefix = f"{FOLDER_PREFIX}{os.getpid()}-"
    with TemporaryDirectory(prefix=prefix, dir=_memory(), ignore_cleanup_errors=True) as folder:
        postgres = EmbeddedPostgres(Path(folder), durable=False)
        asyncio.run(postgres.start())
        try:
            # A file copy is the cheaper way to clone when nothing is made durable.
            yield from _with_template(TestServer(postgres.dsn_of("postgres"), "STRATEGY file_copy"))
        finally:
            asyncio.run(postgres.stop())


def _memory() -> Path | None:
    """Where files are only in memory; None (the usual folder) where there is no such place, or no room in it."""
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY
    return MEMORY if usable else None


def _clear_memory() -> None:
    """What runs that were killed have left there goes: memory is not the disk."""
    for folder in MEMORY.glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _with_template(server: TestServer) -> Iterator[TestServer]:
    asyncio.run(server.make_template())
    try:
        yield server
    finally:
        asyncio.run(server.drop(server.template))
