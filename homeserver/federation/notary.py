"""Vouching for the keys of other servers: what they published, with our signature added.

Source: server-server API, "Querying Keys Through Another Server".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.canonical_json import decode_json
from homeserver.protocol.identifiers import is_server_name
from homeserver.protocol.signing import sign_json

if TYPE_CHECKING:
    from homeserver.federation.keyring import Keyring
    from homeserver.federation.own_keys import OwnKeys
    from homeserver.protocol.server_keys import KeyCriteria
    from homeserver.storage.database import Database
    from homeserver.storage.server_keys import KeyDocument, ServerKeyRows

MAX_SERVERS: Final = 100
"""In one question; more are left out, as are servers whose keys could not be had."""
MAX_DOCUMENTS: Final = 100
"""In one answer: nearly always one a server."""
# Strangers ask these questions: fetching for them must not keep us from the keys that we need ourselves.
FETCHES_AT_ONCE: Final = 10
TIME_LIMIT_S: Final = 15.0
"""After this the answer is what there is."""


def _slots() -> asyncio.Semaphore:
    return asyncio.Semaphore(FETCHES_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Notary:
    """Asks the servers only where what is stored does not last as long as wanted."""

    own: OwnKeys
    keyring: Keyring
    database: Database
    rows: ServerKeyRows
    _slots: asyncio.Semaphore = field(default_factory=_slots)

    async def documents(self, wanted: Mapping[str, KeyCriteria]) -> list[dict[str, Any]]:
        """Of each of these servers the last documents that had the wanted keys, else its newest."""
        names = list(islice(filter(is_server_name, wanted), MAX_SERVERS))
        others = {name: wanted[name] for name in names if name != self.own.server_name}
        stored = await self._stored(others)
        stale = [name for name, keys in others.items() if not self._last(stored.get(name, ()), keys.until_ms)]
        if stale:
            await self._refresh(stale)
            stored = await self._stored(others)
        own = [self.own.document()] if self.own.server_name in names else []
        found = (document for documents in stored.values() for document in documents)
        return own + [self._vouched(each) for each in islice(found, MAX_DOCUMENTS)]

    async def _stored(self, wanted: Mapping[str, KeyCriteria]) -> dict[str, list[KeyDocument]]:
        found: dict[str, list[KeyDocument]] = {}
        if wanted:
            key_ids = {name: keys.key_ids for name, keys in wanted.items()}
            for document in await self.rows.documents(self.database, key_ids):
                found.setdefault(document.server_name, []).append(document)
        return found

    def _last(self, stored: Sequence[KeyDocument], until_ms: int | None) -> bool:
        return bool(stored) and all(self._lasts(each, until_ms) for each in stored)

    def _lasts(self, stored: KeyDocument, until_ms: int | None) -> bool:
        # "intermediate notary servers should cache a response for half of its lifetime to avoid serving a stale response"
        now_ms = self.own.clock.now_ms()
        if stored.valid_until_ms < (now_ms if until_ms is None else until_ms):
            return False
        return now_ms - stored.fetched_ms <= (stored.valid_until_ms - stored.fetched_ms) / 2

    async def _refresh(self, names: list[str]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIME_LIMIT_S):
                await asyncio.gather(*map(self._refresh_one, names))

    async def _refresh_one(self, name: str) -> None:
        async with self._slots:
            await self.keyring.refresh([name])

    def _vouched(self, stored: KeyDocument) -> dict[str, Any]:
        return sign_json(decode_json(stored.document), self.own.server_name, self.own.signing_key)
