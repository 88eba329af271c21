"""Who wants no invitations ("Invite permission", account data `m.invite_permission_config`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from homeserver.storage.account_data import EVERYWHERE, AccountDataRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

INVITE_PERMISSION_CONFIG = "m.invite_permission_config"


@dataclass(frozen=True, slots=True)
class InvitePermissions:
    """Implements `InviteBlocks` of services/membership."""

    queries: Queries
    rows: AccountDataRows

    async def blocking(self, user_ids: Sequence[str]) -> set[str]:
        """Those of the users who block invitations; one statement."""
        stored = await self.rows.of_users(self.queries, user_ids, EVERYWHERE, INVITE_PERMISSION_CONFIG)
        return {user_id for user_id, content in stored.items() if _blocks(content)}


def _blocks(content: bytes) -> bool:
    return bool(orjson.loads(content).get("default_action") == "block")
