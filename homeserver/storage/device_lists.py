"""Table `device_list_changes`: whose devices or cross-signing keys changed, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

EVERYBODY = ""
"""As an observer: all who share a room with the user."""

RECORD = """
INSERT INTO device_list_changes (user_id, observer, position)
SELECT DISTINCT user_id, $2, $3::bigint FROM unnest($1::text[]) AS user_id
ON CONFLICT (user_id, observer) DO UPDATE SET position = greatest(device_list_changes.position, excluded.position)
"""

CHANGED_SINCE = """
SELECT user_id, observer FROM device_list_changes
WHERE position > $1 AND position <= $2 AND observer IN ('', $3)
"""


class DeviceListChanges:
    """Statements over device_list_changes. One row for each user and observer: only the newest change matters."""

    async def record(self, q: Queries, user_ids: Sequence[str], position: int, observer: str = EVERYBODY) -> None:
        """Write that these users' keys changed at `position`, for everybody or for one observer."""
        await q.execute(RECORD, list(user_ids), observer, position)

    async def changed_since(self, q: Queries, since: int, to: int, observer: str) -> list[tuple[str, str]]:
        """User and observer of the changes in `(since, to]` that are for everybody or for this observer."""
        return [(row[0], row[1]) for row in await q.fetch(CHANGED_SINCE, since, to, observer)]
