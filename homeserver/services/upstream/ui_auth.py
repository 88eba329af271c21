"""The stage `m.login.sso`: who signs in with a provider proves with it that it is he.

Source: client-server API, "SSO during User-Interactive Authentication".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.ui_auth.stages import PASSWORD
from homeserver.services.ui_auth.ui_auth import SSO, Flows
from homeserver.storage.external_ids import ExternalIdRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class OfferSso:
    """One of `UiAuth.ways`."""

    queries: Queries
    rows: ExternalIdRows

    async def __call__(self, user_id: str, flows: Flows) -> Flows:
        """Beside each flow with the password the same with a provider, for who has one; alone, where he has no password."""
        if not any(PASSWORD in flow for flow in flows):
            return flows
        ways = await self.rows.ways_in(self.queries, user_id)
        if not ways.has_provider:
            return flows
        with_sso = [[SSO if stage == PASSWORD else stage for stage in flow] for flow in flows if PASSWORD in flow]
        others = [flow for flow in flows if ways.has_password or PASSWORD not in flow]
        return [*others, *with_sso]
