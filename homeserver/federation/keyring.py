"""The keys of other servers: from memory, from the database, from the server itself, and last from notaries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.bounded import Bounded
from homeserver.federation.client import Call, Limits
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import InvalidSignature, MatrixError
from homeserver.protocol.server_keys import PublishedKeys, ServerKey, read_published_keys
from homeserver.protocol.signing import signature_key_ids, verify_bytes, verify_json

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database
    from homeserver.storage.server_keys import ServerKeyRows

SERVER_KEYS: Final = "/_matrix/key/v2/server"
QUERY: Final = "/_matrix/key/v2/query"
MAX_KEYS_IN_MEMORY: Final = 20_000
MAX_SERVERS_IN_MEMORY: Final = 10_000
DOCUMENT_LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=32 * 1024)
NOTARY_LIMITS: Final = Limits(timeout_ms=20_000, max_bytes=1024 * 1024)
FETCHES_AT_ONCE: Final = 100
# "Requesting servers should limit how frequently they query for certificates": anybody can make us ask, with a request
# that claims to be signed with a key which nobody has.
AFTER_SUCCESS_MS: Final = 60_000
FIRST_PAUSE_MS: Final = 60_000
MAX_PAUSE_MS: Final = 60 * 60_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A key with which something may have been signed at `at_ms` (0: at any time, as in room versions 1 to 4)."""

    server_name: str
    key_id: str
    at_ms: int

    @property
    def name(self) -> tuple[str, str]:
        return self.server_name, self.key_id


@dataclass(frozen=True, slots=True)
class _Asked:
    """When a server may be asked for its keys again, and how long the pause is that ends then."""

    again_at_ms: int
    pause_ms: int


def _keys() -> Bounded[tuple[str, str], ServerKey]:
    return Bounded(MAX_KEYS_IN_MEMORY)


def _asked() -> Bounded[str, _Asked]:
    return Bounded(MAX_SERVERS_IN_MEMORY)


def _slots() -> asyncio.Semaphore:
    return asyncio.Semaphore(FETCHES_AT_ONCE)


@dataclass(slots=True)
class Keyring:
    """`own` are the keys of this server, which nobody has to be asked for. `limited`: whether others are spared."""

    server_name: str
    own: Mapping[str, bytes]
    client: FederationClient
    database: Database
    rows: ServerKeyRows
    clock: Clock
    notaries: Sequence[str] = ()
    limited: bool = True
    _known: Bounded[tuple[str, str], ServerKey] = field(default_factory=_keys)
    _asked: Bounded[str, _Asked] = field(default_factory=_asked)
    _fetching: SingleFlight[bool] = field(default_factory=SingleFlight)
    _slots: asyncio.Semaphore = field(default_factory=_slots)

    async def verify(
        self, server_name: str, key_id: str, message: bytes, signature: bytes, *, at_ms: int | None = None
    ) -> None:
        """Raises InvalidSignature unless that server's key signed these bytes at that time (now, if none is given)."""
        wanted = WantedKey(server_name, key_id, self.clock.now_ms() if at_ms is None else at_ms)
        key = (await self.find([wanted])).get(wanted)
        if key is None:
            raise InvalidSignature(f"The key {key_id} of {server_name} is not known, or has expired")
        verify_bytes(message, signature, key)

    def remembers(self, server_name: str, key_id: str) -> bool:
        """Whether a signature with this key can be checked now without asking anybody."""
        return self._from_memory(WantedKey(server_name, key_id, self.clock.now_ms())) is not None

    async def find(self, wanted: Collection[WantedKey]) -> Mapping[WantedKey, bytes]:
        """Those keys that can be had: one statement, and each server is asked once, however many keys are wanted."""
        await self._load(self._missing(wanted))
        await self.refresh({each.server_name for each in self._missing(wanted)}, self._missing(wanted))
        found = ((each, self._from_memory(each)) for each in wanted)
        return {each: key for each, key in found if key is not None}

    async def refresh(self, server_names: Collection[str], wanted: Collection[WantedKey] = ()) -> None:
        """Ask these servers for their keys, unless they were asked a moment ago; then the notaries for those that did not
        answer, or did not have what is wanted.
        """
        due = [name for name in server_names if name != self.server_name and self._may_ask(name)]
        answered = await asyncio.gather(*(self._ask_once(name) for name in due))
        lacking = {each.server_name for each in self._missing(wanted)}
        left = [name for name, has in zip(due, answered, strict=True) if not has or name in lacking]
        if left:
            await self._ask_notaries(left)

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._fetching.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Keys and servers remembered."""
        return {"keys": len(self._known), "servers": len(self._asked)}

    # --- Memory and database ---

    def _missing(self, wanted: Collection[WantedKey]) -> list[WantedKey]:
        return [each for each in wanted if self._from_memory(each) is None]

    def _from_memory(self, wanted: WantedKey) -> bytes | None:
        if wanted.server_name == self.server_name:
            return self.own.get(wanted.key_id)
        key = self._known.get(wanted.name)
        return key.verify_key if key is not None and key.is_usable_at(wanted.at_ms) else None

    async def _load(self, wanted: Collection[WantedKey]) -> None:
        names = {each.name for each in wanted if each.server_name != self.server_name}
        if not names:
            return
        for name, key in (await self.rows.find(self.database, names)).items():
            self._known.put(name, key)

    async def _keep(self, document: Mapping[str, Any], published: PublishedKeys, now_ms: int) -> None:
        await self.rows.put(self.database, published, encode_canonical(document), now_ms)
        for key in published.keys.values():
            self._known.put((published.server_name, key.key_id), key)

    # --- Network ---

    async def _ask_once(self, server_name: str) -> bool:
        return await self._fetching.run(server_name, lambda: self._ask(server_name))

    def _may_ask(self, server_name: str) -> bool:
        asked = self._asked.get(server_name)
        return not self.limited or asked is None or asked.again_at_ms <= self.clock.now_ms()

    async def _ask(self, server_name: str) -> bool:
        """Whether the server itself has given its keys."""
        async with self._slots:
            now_ms = self.clock.now_ms()
            try:
                # It talks to us, or somebody says so: also where it could not be reached a moment ago.
                call = Call("GET", SERVER_KEYS, signed=False, probe=True, limits=DOCUMENT_LIMITS)
                document = await self.client.call(server_name, call)
                published = read_published_keys(document, server_name, now_ms)
            except MatrixError as error:
                log.info("the keys of %s could not be had from itself: %s", server_name, error)
                self._note_failure(server_name)
                return False
            # In this order: who comes meanwhile joins this question, or finds the keys.
            await self._keep(document, published, now_ms)
            self._asked.put(server_name, _Asked(now_ms + AFTER_SUCCESS_MS, 0))
            return True

    def _note_failure(self, server_name: str) -> None:
        before = self._asked.get(server_name)
        pause_ms = FIRST_PAUSE_MS if before is None else min(max(before.pause_ms * 2, FIRST_PAUSE_MS), MAX_PAUSE_MS)
        self._asked.put(server_name, _Asked(self.clock.now_ms() + pause_ms, pause_ms))

    async def _ask_notaries(self, server_names: Sequence[str]) -> None:
        """One request a notary, for all servers that are still without keys."""
        left = list(server_names)
        for notary in self.notaries:
            if left and notary != self.server_name:
                found = await self._ask_notary(notary, left)
                left = [name for name in left if name not in found]

    async def _ask_notary(self, notary: str, server_names: Sequence[str]) -> set[str]:
        body: dict[str, Any] = {"server_keys": {name: {} for name in server_names}}
        try:
            call = Call("POST", QUERY, body, signed=False, limits=NOTARY_LIMITS)
            answer = await self.client.call(notary, call)
            await self._know_notary(notary)
        except MatrixError as error:
            log.info("the notary %s did not help: %s", notary, error)
            return set()
        documents = answer.get("server_keys")
        found: set[str] = set()
        for document in documents if isinstance(documents, list) else ():
            name = document.get("server_name") if isinstance(document, dict) else None
            if isinstance(name, str) and name in server_names and await self._believe(notary, document, name):
                found.add(name)
        return found

    async def _know_notary(self, notary: str) -> None:
        """Its own keys, from itself: a notary does not vouch for its own signature."""
        if self._may_ask(notary):
            await self._ask_once(notary)

    async def _believe(self, notary: str, document: dict[str, Any], server_name: str) -> bool:
        """Keep a document that both the notary and the server itself have signed."""
        now_ms = self.clock.now_ms()
        try:
            self._check_notary_signed(notary, document, now_ms)
            published = read_published_keys(document, server_name, now_ms)
        except MatrixError as error:
            log.warning("the notary %s sent a document of %s that is not valid: %s", notary, server_name, error)
            return False
        await self._keep(document, published, now_ms)
        return True

    def _check_notary_signed(self, notary: str, document: dict[str, Any], now_ms: int) -> None:
        for key_id in signature_key_ids(document, notary):
            key = self._from_memory(WantedKey(notary, key_id, now_ms))
            if key is not None:
                verify_json(document, notary, key_id, key)
                return
        raise InvalidSignature("The notary has not signed it with a key of its own")
