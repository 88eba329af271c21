"""Rooms of spaces that this server is not in: their servers are asked, and answers remembered for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.federation.client import Call, Limits, request_uri
from homeserver.federation.single_flight import SingleFlight
from homeserver.federation.spaces.answers import read_space
from homeserver.federation.spaces.memory import Remembered, SpaceMemory
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import MatrixError

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.clock import Clock
    from homeserver.services.spaces.remote import RemoteSpace

HIERARCHY: Final = "/_matrix/federation/v1/hierarchy"
LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=1024 * 1024)
MAX_SERVERS: Final = 3
"""That are asked about one room."""
FOUND_MS: Final = 5 * 60_000
FAILED_MS: Final = 60_000


@dataclass(slots=True)
class AskForSpaces:
    """`services.spaces.remote.OtherServersSpaces`. Answers are the same for all our users; who may see what is decided here."""

    client: FederationClient
    clock: Clock
    _memory: SpaceMemory = field(default_factory=SpaceMemory)
    _asking: SingleFlight[RemoteSpace | None] = field(default_factory=SingleFlight)

    async def ask(self, room_id: str, via: Sequence[str]) -> RemoteSpace | None:
        """What the first of these servers that knows the room says; None where none does."""
        others = [name for name in via if name != self.client.server_name][:MAX_SERVERS]
        # By whom was asked too: who puts a room of others into a space of his own answers for nobody else's.
        key = " ".join([room_id, *others])
        remembered = self._memory.get(key, self.clock.now_ms())
        if remembered is not None:
            return remembered.space
        return await self._asking.run(key, lambda: self._ask(key, room_id, others)) if others else None

    async def _ask(self, key: str, room_id: str, servers: Sequence[str]) -> RemoteSpace | None:
        for server_name in servers:
            try:
                space, size = await self._ask_one(server_name, room_id)
            except MatrixError:
                continue  # the next one may know, or be awake
            self._remember(key, space, FOUND_MS, size)
            return space
        self._remember(key, None, FAILED_MS, 0)
        return None

    async def _ask_one(self, server_name: str, room_id: str) -> tuple[RemoteSpace, int]:
        # Everything is asked for, suggested or not: the answer serves both.
        uri = request_uri(HIERARCHY, room_id, query={"suggested_only": "false"})
        body = await self.client.body(server_name, Call("GET", uri, limits=LIMITS))
        return read_space(decode_lenient(body), room_id), len(body)

    def _remember(self, key: str, space: RemoteSpace | None, for_ms: int, size: int) -> None:
        self._memory.put(key, Remembered(space, self.clock.now_ms() + for_ms, size))

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._asking.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Rooms remembered."""
        return {"rooms": len(self._memory), "bytes": self._memory.held}
