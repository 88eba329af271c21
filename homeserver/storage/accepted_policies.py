"""Table `accepted_policies`: who has accepted which version of which policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = """
INSERT INTO accepted_policies (user_id, policy, version, accepted_ms)
SELECT $1, each.policy, each.version, $4 FROM unnest($2::text[], $3::text[]) AS each (policy, version)
ON CONFLICT (user_id, policy) DO UPDATE SET version = excluded.version, accepted_ms = excluded.accepted_ms
"""

OF_USER = "SELECT policy, version FROM accepted_policies WHERE user_id = $1"


class AcceptedPolicies:
    """Queries over what was accepted."""

    async def add(self, q: Queries, user_id: str, versions: Mapping[str, str], now_ms: int) -> None:
        """Note the version of each policy, in the place of an older one."""
        await q.execute(ADD, user_id, list(versions), list(versions.values()), now_ms)

    async def of_user(self, q: Queries, user_id: str) -> dict[str, str]:
        """Policy -> the newest version that he has accepted."""
        return {row[0]: row[1] for row in await q.fetch(OF_USER, user_id)}
