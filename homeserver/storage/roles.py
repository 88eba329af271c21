"""Tables `role_applications`, `role_changes` and `role_applied`: what roles are to write into rooms, and what they wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

COLUMNS = "application_id, space_id, ordered_by, steward, ordered_ms, undoes"

ADD = f"INSERT INTO role_applications ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)"

ADD_CHANGES = """
INSERT INTO role_changes (application_id, seq, room_id, type, state_key, before, after)
SELECT $1, n.seq, n.room_id, n.type, n.state_key, n.before, n.after
FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
WITH ORDINALITY AS n(room_id, type, state_key, before, after, seq)
"""

# Changes go with their application. Those below the newest `$2` of the space.
FORGET = """
DELETE FROM role_applications WHERE number <= (
    SELECT number FROM role_applications WHERE space_id = $1 ORDER BY number DESC OFFSET $2 LIMIT 1
) AND space_id = $1
"""

GET = f"SELECT {COLUMNS} FROM role_applications WHERE application_id = $1"

OF_SPACE = f"SELECT {COLUMNS} FROM role_applications WHERE space_id = $1 ORDER BY number DESC"

CHANGES = """
SELECT seq, room_id, type, state_key, before, after, outcome FROM role_changes WHERE application_id = $1 ORDER BY seq
"""

# The next that are to be done, of one room: a room is done in one go, as far as a commit reaches.
NEXT = """
SELECT seq, room_id, type, state_key, before, after, outcome FROM role_changes
WHERE application_id = $1 AND outcome IS NULL AND room_id = (
    SELECT room_id FROM role_changes WHERE application_id = $1 AND outcome IS NULL ORDER BY seq LIMIT 1
) ORDER BY seq LIMIT $2
"""

SETTLE = """
UPDATE role_changes c SET outcome = n.outcome FROM unnest($2::integer[], $3::text[]) AS n(seq, outcome)
WHERE c.application_id = $1 AND c.seq = n.seq
"""

COUNTS = """
SELECT coalesce(outcome, 'open'), count(*) FROM role_changes WHERE application_id = $1 GROUP BY 1
"""

REMEMBER = """
INSERT INTO role_applied (room_id, type, state_key, space_id, content)
SELECT n.room_id, n.type, n.state_key, $1, n.content
FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[]) AS n(room_id, type, state_key, content)
ON CONFLICT (room_id, type, state_key) DO UPDATE SET space_id = excluded.space_id, content = excluded.content
"""

# Also those of the space itself. Memberships are not remembered: people come and go by themselves.
APPLIED = "SELECT room_id, type, state_key, space_id, content FROM role_applied WHERE room_id = ANY($1::text[])"


@dataclass(frozen=True, slots=True)
class Application:
    """One order. `undoes`: the application whose way back it is."""

    application_id: str
    space_id: str
    ordered_by: str
    steward: str
    ordered_ms: int
    undoes: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change of an application. `outcome` None: still to be done."""

    seq: int
    room_id: str
    event_type: str
    state_key: str
    before: dict[str, Any]
    after: dict[str, Any]
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class AppliedRow:
    """What roles have written last."""

    room_id: str
    event_type: str
    state_key: str
    space_id: str
    content: dict[str, Any]


class RoleRows:
    """Queries over applied roles."""

    async def add(self, q: Queries, application: Application, changes: Sequence[ChangeRow], keep: int) -> None:
        """A new application with all its changes; of older ones of the space the newest are kept."""
        each = application
        await q.execute(
            ADD, each.application_id, each.space_id, each.ordered_by, each.steward, each.ordered_ms, each.undoes
        )  # fmt: skip
        await q.execute(
            ADD_CHANGES,
            each.application_id,
            [change.room_id for change in changes],
            [change.event_type for change in changes],
            [change.state_key for change in changes],
            [orjson.dumps(change.before) for change in changes],
            [orjson.dumps(change.after) for change in changes],
        )
        await q.execute(FORGET, each.space_id, keep)

    async def get(self, q: Queries, application_id: str) -> Application | None:
        """One of them."""
        row = await q.fetchrow(GET, application_id)
        return Application(*row) if row else None

    async def of_space(self, q: Queries, space_id: str) -> list[Application]:
        """All that are kept, the newest first."""
        return [Application(*row) for row in await q.fetch(OF_SPACE, space_id)]

    async def changes(self, q: Queries, application_id: str) -> list[ChangeRow]:
        """All of one application, in order."""
        return [_change(row) for row in await q.fetch(CHANGES, application_id)]

    async def next(self, q: Queries, application_id: str, limit: int) -> list[ChangeRow]:
        """What is to be done next: of one room only."""
        return [_change(row) for row in await q.fetch(NEXT, application_id, limit)]

    async def settle(self, q: Queries, application_id: str, outcomes: Mapping[int, str]) -> None:
        """How changes ended, by their number."""
        await q.execute(SETTLE, application_id, list(outcomes), list(outcomes.values()))

    async def counts(self, q: Queries, application_id: str) -> dict[str, int]:
        """How many ended how; "open" for those that have not."""
        return {row[0]: row[1] for row in await q.fetch(COUNTS, application_id)}

    async def remember(self, q: Queries, space_id: str, done: Iterable[ChangeRow]) -> None:
        """What stands in the rooms now."""
        rows = list(done)
        await q.execute(
            REMEMBER,
            space_id,
            [each.room_id for each in rows],
            [each.event_type for each in rows],
            [each.state_key for each in rows],
            [orjson.dumps(each.after) for each in rows],
        )

    async def applied(self, q: Queries, room_ids: Sequence[str]) -> list[AppliedRow]:
        """What roles have written last into these rooms."""
        return [
            AppliedRow(room_id, event_type, state_key, space_id, orjson.loads(content))
            for room_id, event_type, state_key, space_id, content in await q.fetch(APPLIED, list(room_ids))
        ]


def _change(row: Record) -> ChangeRow:
    seq, room_id, event_type, state_key, before, after, outcome = row
    return ChangeRow(seq, room_id, event_type, state_key, orjson.loads(before), orjson.loads(after), outcome)
