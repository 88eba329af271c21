"""Events that related to each other before the server knew how to tell of it."""

from __future__ import annotations

import asyncpg

from homeserver.storage.migrations.migrate import migrate, read_migrations
from tests.postgres import TestServer

NUMBER = 24
EVENT = """
INSERT INTO events (event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, sender, body, envelope)
VALUES ($1, 1, $2, 1, 1, 1, $3, 'm.room.message', '@alice:test', '{}', '{}')
"""
RELATION = """
INSERT INTO relations (event_nid, room_nid, parent_id, rel_type, type, sender)
VALUES ($1, $2, $3, $4, 'm.room.message', '@alice:test')
"""


async def test_old_relations_are_found(postgres_server: TestServer) -> None:
    name = await postgres_server.create_empty()
    dsn = postgres_server.dsn_of(name)
    migrations = read_migrations()
    await migrate(dsn, [each for each in migrations if each.number < NUMBER])
    connection = await asyncpg.connect(dsn)
    try:
        for nid, event_id in ((1, "$root"), (2, "$liked"), (3, "$one"), (4, "$two"), (5, "$like"), (6, "$elsewhere")):
            await connection.execute(EVENT, nid, nid * 10, event_id)
        await connection.execute(RELATION, 3, 1, "$root", "m.thread")
        await connection.execute(RELATION, 4, 1, "$root", "m.thread")
        await connection.execute(RELATION, 5, 1, "$liked", "m.annotation")
        await connection.execute(RELATION, 6, 2, "$liked", "m.thread")
        await migrate(dsn, migrations)
        flags = dict(await connection.fetch("SELECT event_id, flags FROM events"))
        assert {event_id for event_id, each in flags.items() if each & 512} == {"$root"}
        assert all(each & 1 for each in flags.values())
        found = await connection.fetch("SELECT root_id, latest_position, replies FROM threads WHERE room_nid = 1")
        assert [tuple(row) for row in found] == [("$root", 40, 2)]
        assert await connection.fetchval("SELECT array_agg(position ORDER BY event_nid) FROM relations") == [
            30,
            40,
            50,
            60,
        ]
    finally:
        await connection.close()
        await postgres_server.drop(name)
