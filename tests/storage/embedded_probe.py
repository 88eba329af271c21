"""A program for the tests of the embedded PostgreSQL: starts one under a folder and tells about it, a JSON a line.

    python embedded_probe.py FOLDER [--hold]

`--hold` stays, with the database open, until it is killed or its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import asyncpg

from homeserver.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError


async def main(folder: Path, *, hold: bool) -> None:
    postgres = EmbeddedPostgres(folder)
    began = time.process_time(), time.monotonic()
    try:
        await postgres.start()
    except EmbeddedPostgresError as error:
        tell(refused=str(error))
        return
    tell(pid=postgres.pid, started_ms=(time.monotonic() - began[1]) * 1000, visits=await visit(postgres.dsn))
    if hold:
        await asyncio.to_thread(sys.stdin.read)
    await postgres.stop()
    tell(stopped=True)


async def visit(dsn: str) -> int:
    """Write one more row and count them: how often this database has been visited."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS visits (who text)")
        await connection.execute("INSERT INTO visits VALUES ($1)", str(os.geteuid()))
        return int(await connection.fetchval("SELECT count(*) FROM visits"))
    finally:
        await connection.close()


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), hold="--hold" in sys.argv))
