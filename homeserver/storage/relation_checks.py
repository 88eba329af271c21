"""Table `relations`, asked before an event is written that relates to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FIND = """
SELECT e.room_nid, own.rel_type,
       $4::text IS NOT NULL AND EXISTS (
           SELECT FROM relations r
           WHERE r.parent_id = $1 AND r.room_nid = e.room_nid AND r.rel_type = 'm.annotation'
             AND r.sender = $2 AND r.type = $3 AND r.aggregation_key = $4
       )
FROM events e LEFT JOIN relations own USING (event_nid)
WHERE e.event_id = $1
"""


@dataclass(frozen=True, slots=True)
class RelationParent:
    """What is known of an event that another one wants to relate to."""

    room_nid: int
    rel_type: str | None
    """Of the relation that the parent has itself."""
    is_annotated: bool
    """Whether the sender has reacted to it with this very key."""


class RelationChecks:
    """One query."""

    async def find(
        self, q: Queries, parent_id: str, *, sender: str, event_type: str, aggregation_key: str | None
    ) -> RelationParent | None:
        """The parent; None where this server does not have it."""
        row = await q.fetchrow(FIND, parent_id, sender, event_type, aggregation_key)
        return None if row is None else RelationParent(*row)
