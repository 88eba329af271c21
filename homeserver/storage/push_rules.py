"""Table `push_rules`: what users changed about the server-default push rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CUSTOMISED = "SELECT user_id FROM push_rules WHERE customised"

GET = "SELECT customisation, position FROM push_rules WHERE user_id = $1"

OF_USERS = "SELECT user_id, customisation FROM push_rules WHERE user_id = ANY($1::text[])"

# Compared with what the caller saw ($5: the position of that, 0 if there was nothing), so that no change gets lost.
STORE = """
INSERT INTO push_rules AS p (user_id, customisation, customised, position) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE
SET customisation = excluded.customisation, customised = excluded.customised, position = excluded.position
WHERE p.position = $5
RETURNING true
"""

# The row stays: its position is not to be used again.
FORGET = "UPDATE push_rules SET customisation = $2, customised = false WHERE user_id = $1"

CHANGED = "SELECT EXISTS (SELECT FROM push_rules WHERE user_id = $1 AND position > $2 AND position <= $3)"


class PushRuleRows:
    """Statements over push_rules; customisations are the JSON of protocol/push_rules/customisation.py."""

    async def customised(self, q: Queries) -> set[str]:
        """Everybody whose rules differ from the default ones."""
        return {row[0] for row in await q.fetch(CUSTOMISED)}

    async def get(self, q: Queries, user_id: str) -> tuple[dict[str, Any], int] | None:
        """A user's customisation and its stream position."""
        row = await q.fetchrow(GET, user_id)
        return None if row is None else (orjson.loads(row[0]), row[1])

    async def of_users(self, q: Queries, user_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Customisations by user; users without one are left out."""
        return {row[0]: orjson.loads(row[1]) for row in await q.fetch(OF_USERS, list(user_ids))}

    async def store(
        self, q: Queries, user_id: str, customisation: dict[str, Any], *, customised: bool, position: int, before: int
    ) -> bool:
        """Write a customisation if it still is as at position `before` (0: there is none); False if it is not."""
        stored = orjson.dumps(customisation).decode()
        return await q.fetchval(STORE, user_id, stored, customised, position, before) is not None

    async def forget(self, q: Queries, user_id: str, nothing: dict[str, Any]) -> None:
        """Leave a user who is gone with the customisation that changes `nothing`."""
        await q.execute(FORGET, user_id, orjson.dumps(nothing).decode())

    async def changed(self, q: Queries, user_id: str, since: int, to: int) -> bool:
        """Whether the user's rules changed in `(since, to]`."""
        return bool(await q.fetchval(CHANGED, user_id, since, to))
