"""OAuth clients: anybody may register one (RFC 7591)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.oauth.client_metadata import ClientMetadata, parse_client_metadata
from homeserver.protocol.oauth.errors import INVALID_CLIENT, OAuthError
from homeserver.services.text_limits import is_storable
from homeserver.storage.oauth_clients import OAuthClientRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

# "Clients MUST perform a new client registration at the start of each authorisation flow". Some keep the old one.
UNUSED_KEPT_MS: Final = 30 * 24 * 60 * 60_000
MAX_CLIENT_ID_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class OAuthClients:
    """All are public ones: none has a secret."""

    queries: Queries
    rows: OAuthClientRows
    clock: Clock

    async def register(self, given: Mapping[str, Any]) -> ClientMetadata:
        """Returns what has been kept of it. Raises OAuthError."""
        metadata = parse_client_metadata(given)
        await self.rows.add(self.queries, metadata.client_id, metadata.as_json(), self.clock.now_ms())
        return metadata

    async def get(self, client_id: str) -> ClientMetadata:
        """Raises OAuthError where there is none."""
        metadata = None
        if is_storable(client_id, MAX_CLIENT_ID_CHARACTERS):
            metadata = await self.rows.get(self.queries, client_id)
        return _found(metadata)

    async def use(self, client_id: str) -> ClientMetadata:
        """The same for what somebody begins with it: it stays at least until he has finished."""
        metadata = None
        if is_storable(client_id, MAX_CLIENT_ID_CHARACTERS):
            metadata = await self.rows.use(self.queries, client_id, self.clock.now_ms())
        return _found(metadata)

    async def tidy(self) -> None:
        """Housekeeping: forget clients with which nobody is signed in."""
        await self.rows.forget_unused(self.queries, self.clock.now_ms() - UNUSED_KEPT_MS)


def _found(metadata: Mapping[str, Any] | None) -> ClientMetadata:
    if metadata is None:
        raise OAuthError(INVALID_CLIENT, "This client is not registered (any more)", 401)
    return parse_client_metadata(metadata)
