"""Vouching for the keys of other servers: what they published, with our signature added.

Source: server-server API, "Querying Keys Through Another Server".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.canonical_json import decode_json
from homeserver.protocol.identifiers import is_server_name
from homeserver.protocol.signing import sign_json

if TYPE_CHECKING:
    from homeserver.federation.keyring import Keyring
    from homeserver.federation.own_keys import OwnKeys
    from homeserver.storage.database import Database
    from homeserver.storage.server_keys import KeyDocument, ServerKeyRows

MAX_SERVERS: Final = 100
"""In one question; more are left out, as are servers whose keys could not be had."""
MAX_DOCUMENTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Notary:
    """Asks the servers only where what is stored does not last as long as wanted."""

    own: OwnKeys
    keyring: Keyring
    database: Database
    rows: ServerKeyRows

    async def documents(self, wanted: Mapping[str, int | None]) -> list[dict[str, Any]]:
        """The newest documents of these servers first, then older ones with further keys.

        By server name the time until which the keys should be valid; None: now.
        """
        names = list(islice(filter(is_server_name, wanted), MAX_SERVERS))
        others = [name for name in names if name != self.own.server_name]
        stored = await self._stored(others)
        stale = [name for name in others if not self._lasts(stored, name, wanted[name])]
        if stale:
            await self.keyring.refresh(stale)
            stored = await self._stored(others)
        own = [self.own.document()] if self.own.server_name in names else []
        return own + [self._vouched(each) for each in stored]

    async def _stored(self, names: list[str]) -> list[KeyDocument]:
        if not names:
            return []
        return (await self.rows.documents(self.database, names))[:MAX_DOCUMENTS]

    def _lasts(self, stored: Iterable[KeyDocument], name: str, until_ms: int | None) -> bool:
        # "intermediate notary servers should cache a response for half of its lifetime to avoid serving a stale response"
        now_ms = self.own.clock.now_ms()
        newest = next((each for each in stored if each.server_name == name), None)
        if newest is None or newest.valid_until_ms < (now_ms if until_ms is None else until_ms):
            return False
        return now_ms - newest.fetched_ms <= (newest.valid_until_ms - newest.fetched_ms) / 2

    def _vouched(self, stored: KeyDocument) -> dict[str, Any]:
        return sign_json(decode_json(stored.document), self.own.server_name, self.own.signing_key)
