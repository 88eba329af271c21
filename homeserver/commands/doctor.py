"""`doctor`: looks at what can be looked at from here, and says in a sentence what is wrong and how to mend it.

`doctor voice` (doctor_voice.py) places calls instead, `doctor federation` (doctor_federation.py) goes the way of other servers.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.commands.errors import CommandError
from homeserver.commands.options import add_port_option, add_server_options, settings_of

if TYPE_CHECKING:
    from config.settings import ListenerSettings, Settings

HELP = "check configuration, data, database and listeners of this machine; or voice, or the way of other servers"
_LOW_DISK_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    well: bool
    sentence: str


def add_arguments(parser: ArgumentParser) -> None:
    """Which server, and what of it."""
    from homeserver.commands.doctor_voice import add_voice_options

    parser.add_argument(
        "part",
        nargs="?",
        choices=("voice", "federation"),
        help="voice: place calls of three seconds over every path; federation: come as other servers do",
    )
    add_server_options(parser)
    add_port_option(parser)
    add_voice_options(parser)


def run(arguments: Namespace) -> int:
    """Status 1 when something is wrong."""
    if arguments.part == "voice":
        from homeserver.commands.doctor_voice import report_voice

        return asyncio.run(report_voice(settings_of(arguments), arguments))
    if arguments.part == "federation":
        from homeserver.commands.doctor_federation import report_federation

        return asyncio.run(report_federation(settings_of(arguments), arguments))
    return asyncio.run(_report(settings_of(arguments)))


async def _report(settings: Settings) -> int:
    status = 0
    async for finding in examine(settings):
        print(f"{'ok   ' if finding.well else 'WRONG'} {finding.sentence}")
        status = status if finding.well else 1
    print(
        "\nNot looked at: clients' way to this machine (DNS, firewall, proxy). Of other servers: doctor federation; "
        "for voice: doctor voice."
    )
    return status


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Everything, from the inside out."""
    from homeserver.commands.config import problems_of

    problems = list(problems_of(settings))
    for problem in problems:
        yield Finding(False, problem)
    if not problems:
        yield Finding(True, "The configuration can be used.")
    yield _signing_key(settings)
    yield _disk(settings)
    yield await _database(settings)
    for listener in settings.listeners:
        yield await _listener(listener)
    if settings.email.smtp_host is not None:
        yield await _mail(settings)


async def _mail(settings: Settings) -> Finding:
    from homeserver.composition.mail import try_mail_server

    problem = await try_mail_server(settings)
    place = f"{settings.email.smtp_host}:{settings.email.smtp_port}"
    if problem is None:
        return Finding(True, f"The mail server {place} lets us in.")
    return Finding(False, f"The mail server {place} does not let us in: {problem}")


def _signing_key(settings: Settings) -> Finding:
    from homeserver.commands.signing_key import load_or_create_signing_key, signing_key_path

    path = signing_key_path(settings)
    if not path.exists():
        return Finding(True, f"There is no signing key yet; the first start makes {path}.")
    try:
        key = load_or_create_signing_key(path)
    except CommandError as error:
        return Finding(False, str(error))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding(False, f"Others can read the signing key; please run: chmod 600 {path}")
    return Finding(True, f"The server signs with {key.key_id}.")


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    if not folder.is_dir():
        return Finding(True, f"There is no data yet; the first start makes {folder}.")
    if not os.access(folder, os.W_OK):
        return Finding(False, f"This user may not write to {folder}; please give it to him with chown.")
    free = shutil.disk_usage(folder).free
    return Finding(free >= _LOW_DISK_BYTES, f"There are {free / 1024**3:.1f} GiB left for {folder}.")


async def _database(settings: Settings) -> Finding:
    from homeserver.commands.databases import shared_database
    from homeserver.storage.database import Database

    if settings.database.url is None and not (settings.data_dir / "postgres").exists():
        return Finding(True, "There is no database yet; the first start makes an embedded PostgreSQL.")
    try:
        async with shared_database(settings) as dsn:
            database = Database(dsn)
            version, size = await _measure(database)
            await database.close()
    except CommandError as error:
        return Finding(False, str(error))
    return Finding(True, f"PostgreSQL {version} answers; the database has {size}.")


async def _measure(database: object) -> tuple[str, str]:
    from homeserver.storage.database import Database

    assert isinstance(database, Database)
    row = await database.fetchrow(
        "SELECT current_setting('server_version') AS version, "
        "pg_size_pretty(pg_database_size(current_database())) AS size"
    )
    assert row is not None
    return row["version"], row["size"]


async def _listener(listener: ListenerSettings) -> Finding:
    """Ask /health where the listener should be."""
    import aiohttp

    from homeserver.commands.life_of_server import default_baseurl

    url = f"{default_baseurl(listener)}/health"
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=False) as response:
            text = f"{url} answered {response.status}."
            return Finding(response.status == 200, text)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Finding(False, f"Nobody answers at {url}: the server is not running, or listens elsewhere.")
