"""The list of tables that the deletion of a room goes through, held against the schema."""

from __future__ import annotations

from homeserver.storage.database import Database
from homeserver.storage.room_tables import AFTER_EVENTS, BY_EVENT, BY_ROOM, KEPT

COLUMNS = """
SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_name)
WHERE c.table_schema = 'public' AND t.table_schema = 'public' AND t.table_type = 'BASE TABLE'
"""


async def columns(database: Database) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in await database.fetch(COLUMNS)}


async def test_no_table_with_a_room_is_forgotten(database: Database) -> None:
    with_room = {table for table, column in await columns(database) if column in ("room_nid", "room_id")}
    listed = {table for table, *_ in (*BY_ROOM, *AFTER_EVENTS, *BY_EVENT)} | set(KEPT)
    assert not with_room - listed, "say in storage/room_tables.py what becomes of their rows when a room is deleted"


async def test_no_table_of_events_is_forgotten(database: Database) -> None:
    of_events = {table for table, column in await columns(database) if column == "event_nid"}
    listed = {table for table, *_ in (*BY_ROOM, *AFTER_EVENTS, *BY_EVENT)} | set(KEPT)
    # Sent transactions are forgotten after a day.
    assert not of_events - listed - {"event_transactions"}


async def test_what_is_listed_is_there(database: Database) -> None:
    there = await columns(database)
    assert {(table, column) for table, column, *_ in (*BY_ROOM, *AFTER_EVENTS, *BY_EVENT)} <= there
