"""Table `events` as other servers know it: what is stored, how it is known, and whole PDUs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

MARKS = """
SELECT event_id, event_nid, room_nid, position, flags, type, state_key FROM events WHERE event_id = ANY($1::text[])
"""

PDUS = """
SELECT e.event_id, r.room_id, r.version, e.flags, e.body, e.envelope
FROM events e JOIN rooms r USING (room_nid) WHERE e.event_id = ANY($1::text[])
"""

# Everything that the events with these ids cite, and what that cites, and so on; UNION ends walks in circles.
AUTH_CHAIN = """
WITH RECURSIVE chain(event_nid, auth_nids) AS (
    SELECT event_nid, auth_nids FROM events WHERE event_id = ANY($1::text[])
    UNION
    SELECT e.event_nid, e.auth_nids FROM chain c CROSS JOIN LATERAL unnest(c.auth_nids) AS cited(event_nid)
    JOIN events e ON e.event_nid = cited.event_nid
)
"""
AUTH_CHAIN_IDS = (
    AUTH_CHAIN
    + """
SELECT e.event_id FROM (
    SELECT DISTINCT cited.event_nid FROM chain c CROSS JOIN LATERAL unnest(c.auth_nids) AS cited(event_nid)
) cited JOIN events e USING (event_nid)
ORDER BY e.depth, e.event_nid
"""
)
AUTH_LINKS = (
    AUTH_CHAIN
    + "SELECT c.event_nid, e.event_id, c.auth_nids, e.type, e.state_key FROM chain c JOIN events e USING (event_nid)"
)


@dataclass(frozen=True, slots=True)
class EventMark:
    """A stored event without its content."""

    event_id: str
    event_nid: int
    room_nid: int
    position: int | None
    flags: int
    type: str
    state_key: str | None


class Pdus:
    """Reads events by id; unknown ids are left out."""

    async def marks(self, q: Queries, event_ids: Collection[str]) -> dict[str, EventMark]:
        """How events are stored, by event id."""
        return {row[0]: EventMark(*row) for row in await q.fetch(MARKS, list(event_ids))}

    async def pdus(self, q: Queries, event_ids: Collection[str]) -> list[Record]:
        """(event_id, room_id, version, flags, body, envelope)."""
        return await q.fetch(PDUS, list(event_ids))

    async def auth_chain(self, q: Queries, event_ids: Collection[str]) -> list[str]:
        """Ids of all that is reached from these state events along auth events, what others are authorised by first."""
        return [row[0] for row in await q.fetch(AUTH_CHAIN_IDS, list(event_ids))]

    async def auth_links(self, q: Queries, event_ids: Collection[str]) -> list[Record]:
        """(event_nid, event_id, auth_nids, type, state_key) of these state events and of all in their auth chains."""
        return await q.fetch(AUTH_LINKS, list(event_ids))
