"""How many bytes an event takes in the database, indexes included. `bench/storage_bytes.py` says which table takes them."""

from __future__ import annotations

import asyncio

from tests.cast import Server

EVENTS = 400
MESSAGE_BYTES, STATE_EVENT_BYTES = 1900, 1800

SIZE = """
SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r'
"""


async def growth(server: Server, operations: list[asyncio.Task[object]]) -> float:
    """Bytes the database grows by for each operation."""
    database = server.application.base.database
    before = await database.fetchval(SIZE)
    await asyncio.gather(*operations)
    return float(await database.fetchval(SIZE) - before) / len(operations)


async def test_a_message(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    text = "This is a message as long as people write them, more or less."
    # Pages that only a few rows have would count for these few.
    await asyncio.gather(*(alice.send(room_id, text) for _ in range(EVENTS)))
    sends = [asyncio.ensure_future(alice.send(room_id, text)) for _ in range(EVENTS)]
    assert await growth(server, sends) <= MESSAGE_BYTES


async def test_a_state_event(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()

    async def set_state(number: int) -> object:
        return await alice.set_state(room_id, "org.example.item", {"name": f"Item {number}"}, f"key{number}")

    await asyncio.gather(*(set_state(number) for number in range(EVENTS)))
    changes = [asyncio.ensure_future(set_state(number)) for number in range(EVENTS, 2 * EVENTS)]
    assert await growth(server, changes) <= STATE_EVENT_BYTES
