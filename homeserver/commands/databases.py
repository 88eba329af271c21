"""Which database a command works on: the one of `database.url`, or our own PostgreSQL under the data directory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from config.settings import Settings
from homeserver.commands.errors import CommandError
from homeserver.storage.embedded import AlreadyRunningError, EmbeddedPostgres, EmbeddedPostgresError
from homeserver.storage.migrations.migrate import MigrationError, migrate


@asynccontextmanager
async def running_database(settings: Settings) -> AsyncIterator[str]:
    """The address of a database that is ours alone to run, migrated. Raises CommandError."""
    if settings.database.url is not None:
        await _migrate(settings.database.url)
        yield settings.database.url
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    try:
        await postgres.start()
    except (EmbeddedPostgresError, OSError) as error:
        raise CommandError(str(error)) from error
    watching = asyncio.create_task(postgres.watch(), name="watch-postgres")
    try:
        await _migrate(postgres.dsn)
        yield postgres.dsn
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await postgres.stop()


@asynccontextmanager
async def shared_database(settings: Settings) -> AsyncIterator[str]:
    """The same for a short command that may be given while the server runs: then it uses the server's PostgreSQL."""
    postgres = EmbeddedPostgres(settings.data_dir)
    async with contextlib.AsyncExitStack() as stack:
        try:
            dsn = await stack.enter_async_context(running_database(settings))
        except CommandError as error:
            if not isinstance(error.__cause__, AlreadyRunningError):
                raise
            dsn = postgres.dsn_of_running()
            await _migrate(dsn)
        yield dsn


async def _migrate(dsn: str) -> None:
    try:
        await migrate(dsn)
    except MigrationError as error:
        raise CommandError(str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise CommandError(f"The database at {_place(dsn)} cannot be used: {error or 'it does not answer'}.") from error


def _place(dsn: str) -> str:
    """The address without its password."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'the local socket'}{f':{parts.port}' if parts.port else ''}{parts.path}"
