"""People who have proved who they are with a provider, and whose account here is still open: they say which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Pending
from homeserver.services.upstream.claims import Person
from homeserver.services.upstream.client import Proved
from homeserver.services.upstream.visits import UNASKED, VISIT_MS
from homeserver.storage.provider_visits import ProviderVisitRows, StoredArrival

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody of a provider."""

    provider_id: str
    proved: Proved


@dataclass(frozen=True, slots=True)
class Arrivals:
    """By what their browsers came for: nobody else's browser gets at them."""

    queries: Queries
    rows: ProviderVisitRows
    clock: Clock

    async def wait(self, pending: Pending, arrival: Arrival) -> None:
        """Until he says which account is his."""
        person = {name: value for name, value in asdict(arrival.proved.person).items() if value is not None}
        stored = StoredArrival(arrival.provider_id, person, arrival.proved.sid)
        await self.rows.arrive(self.queries, pending.pending_id, stored, self.clock.now_ms() + VISIT_MS)

    async def find(self, pending: Pending) -> Arrival:
        """Who waits. Raises NotFound where nobody does (any more)."""
        stored = await self.rows.arrival(self.queries, pending.pending_id, self.clock.now_ms())
        if stored is None:
            raise errors.NotFound(UNASKED)
        return Arrival(stored.provider, Proved(_person(stored.person), stored.sid))

    async def settle(self, pending: Pending) -> None:
        """He has said it."""
        await self.rows.settle(self.queries, pending.pending_id)


def _person(stored: Mapping[str, Any]) -> Person:
    groups = stored.get("groups")
    return Person(**{**stored, "groups": None if groups is None else tuple(groups)})
