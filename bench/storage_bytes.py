"""What a message and a state event take in the database, indexes included: `python bench/storage_bytes.py`.

Makes a private PostgreSQL, runs the real server in this process, sends, and divides the growth of every table by the
number of events. Prints a table for RESULTS.md.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from homeserver.storage.database import Database  # noqa: E402
from tests.cast import Client  # noqa: E402
from tests.clock import FakeClock  # noqa: E402
from tests.homeserver import running_homeserver, server_settings  # noqa: E402
from tests.postgres import running_server  # noqa: E402

EVENTS = 3000
SIZES = """
SELECT relname, pg_table_size(c.oid) AS rows, pg_indexes_size(c.oid) AS indexes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r'
"""


async def sizes(database: Database) -> dict[str, int]:
    """Bytes of each table with its indexes."""
    return {row["relname"]: row["rows"] + row["indexes"] for row in await database.fetch(SIZES)}


async def grow(client: Client, room_id: str, kind: str) -> None:
    """Send EVENTS events of one kind, a few at once."""

    async def send(number: int) -> None:
        if kind == "message":
            await client.send(
                room_id, f"This is message number {number}, as long as people write them.", txn_id=f"m{number}"
            )
        else:
            await client.set_state(room_id, "org.example.item", {"name": f"Item number {number}"}, f"key{number}")

    for start in range(0, EVENTS, 50):
        await asyncio.gather(*(send(number) for number in range(start, start + 50)))


async def measure(dsn: str, folder: Path) -> None:
    """Print bytes per event by table."""
    async with running_homeserver(server_settings(folder), dsn, FakeClock()) as server:
        alice = await server.register("alice")
        room_id = await alice.create_room(preset="private_chat")
        database = server.application.base.database
        print("| | bytes per event | of which |\n|---|---|---|")
        for kind in ("message", "state"):
            before = await sizes(database)
            await grow(alice, room_id, kind)
            after = await sizes(database)
            growth = {table: (after[table] - before[table]) / EVENTS for table in after}
            largest = sorted(((size, table) for table, size in growth.items() if size >= 1), reverse=True)
            parts = ", ".join(f"{table} {size:.0f}" for size, table in largest)
            print(f"| {kind} event | **{sum(growth.values()):.0f}** | {parts} |", flush=True)


def main() -> None:
    """Run it."""
    with running_server() as postgres, tempfile.TemporaryDirectory() as folder:
        name = asyncio.run(postgres.clone())
        asyncio.run(measure(postgres.dsn_of(name), Path(folder)))
        asyncio.run(postgres.drop(name))


if __name__ == "__main__":
    main()
