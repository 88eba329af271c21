"""Brings a database to the schema of this program: forward only, a transaction a file, one process at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

FOLDER = Path(__file__).parent
MINIMUM_POSTGRESQL = 140000
_LOCK = 0x566F696365  # any constant will do, as long as every VoiceChat process uses the same
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
APPLIED = "SELECT number, name FROM schema_migrations ORDER BY number"
RECORD = "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)"
SERVER = "SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding"


class MigrationError(Exception):
    """The database cannot be used as it is. The message tells the administrator what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Every `NNNN_name.sql` of `folder`, by number. Two files with one number are a mistake of ours."""
    migrations: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) in migrations:
            raise MigrationError(f"{path.name}: migrations are named NNNN_name.sql, each number once")
        migrations[int(match[1])] = Migration(int(match[1]), match[2], path.read_text("utf-8"))
    return list(migrations.values())


async def migrate(dsn: str, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing and return it. On a connection of its own: a migration may outlast any request's limit."""
    wanted = read_migrations() if migrations is None else migrations
    connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "voicechat migrate"})
    try:
        await _check_server(connection)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)  # waits while another process migrates
        return await _apply_missing(connection, wanted)
    finally:
        await connection.close()  # which also gives the lock back


async def _check_server(connection: Any) -> None:
    server = await connection.fetchrow(SERVER)
    if server["version"] < MINIMUM_POSTGRESQL:
        found = server["version"] // 10000
        raise MigrationError(f"PostgreSQL 14 or newer is needed; this server is {found}. Please update it.")
    if server["encoding"] != "UTF8":
        raise MigrationError(
            f"The database has the encoding {server['encoding']}. Make a new one with: "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


async def _apply_missing(connection: Any, wanted: Sequence[Migration]) -> list[Migration]:
    await connection.execute(CREATE_TABLE)
    applied = {row["number"]: row["name"] for row in await connection.fetch(APPLIED)}
    _refuse_newer(applied, wanted)
    missing = [migration for migration in wanted if migration.number not in applied]
    for migration in missing:
        await _apply(connection, migration)
    return missing


def _refuse_newer(applied: dict[int, str], wanted: Sequence[Migration]) -> None:
    known = max((migration.number for migration in wanted), default=0)
    newest = max(applied, default=0)
    if newest > known:
        raise MigrationError(
            f"The database was made by a newer VoiceChat: it has migration {newest:04}_{applied[newest]}, this program "
            f"knows migrations up to {known:04}. Nothing was changed. Start the newer version again, or restore the "
            "backup made before the update."
        )


async def _apply(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(RECORD, migration.number, migration.name)
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"Migration {migration.number:04}_{migration.name} failed and was rolled back: {error}. "
            "The database is as it was before it."
        ) from error
