"""`GET /query/directory`: where an alias of another server points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.bounded import Bounded
from homeserver.federation.client import Call, request_uri
from homeserver.federation.errors import BadAnswer, to_remember
from homeserver.federation.single_flight import SingleFlight
from homeserver.federation.travel.paths import QUERY_LIMITS, V1
from homeserver.federation.travel.refusals import MAX_SERVERS, passed_on
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import is_room_id, is_server_name
from homeserver.services.clock import Clock
from homeserver.services.directory.remote import FoundRoom

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient

MAX_REMEMBERED: Final = 10_000
FOUND_MS: Final = 5 * 60_000
"""An alias may move, and the room's servers change: an upgrade of the room should be seen within minutes."""
FAILED_MS: Final = 30_000
QUERY: Final = f"{V1}/query/directory"


@dataclass(frozen=True, slots=True)
class _Remembered:
    until_ms: int
    found: FoundRoom | MatrixError


def _memory() -> Bounded[str, _Remembered]:
    return Bounded(MAX_REMEMBERED)


@dataclass(slots=True)
class AskForAlias:
    """`services.directory.remote.RemoteAliases`. Anybody may have us ask: answers are remembered, failures too."""

    client: FederationClient
    clock: Clock
    _asking: SingleFlight[FoundRoom] = field(default_factory=SingleFlight)
    _memory: Bounded[str, _Remembered] = field(default_factory=_memory)

    async def find(self, server_name: str, alias: str, *, newest: bool = False) -> FoundRoom:
        """The room, by the word of the alias' own server. `newest`: found rooms are asked for again, failures are not.

        Raises NotFound, ConnectionFailed, ConnectionTimeout, BadGateway.
        """
        remembered = self._memory.get(alias)
        if newest and remembered is not None and isinstance(remembered.found, FoundRoom):
            remembered = None
        if remembered is None or self.clock.now_ms() >= remembered.until_ms:
            return await self._asking.run(alias, lambda: self._ask(server_name, alias))
        if isinstance(remembered.found, MatrixError):
            # A new one each time: an exception that is raised twice carries the traceback of both.
            raise passed_on(remembered.found).with_traceback(None)
        return remembered.found

    async def _ask(self, server_name: str, alias: str) -> FoundRoom:
        # A probe: strangers choose the server, and must not make it one that is left alone.
        call = Call("GET", request_uri(QUERY, query={"room_alias": alias}), probe=True, limits=QUERY_LIMITS)
        try:
            found = _read(await self.client.call(server_name, call), server_name)
        except MatrixError as error:
            self._remember(alias, to_remember(passed_on(error)), FAILED_MS)
            raise passed_on(error) from error
        self._remember(alias, found, FOUND_MS)
        return found

    def _remember(self, alias: str, found: FoundRoom | MatrixError, for_ms: int) -> None:
        self._memory.put(alias, _Remembered(self.clock.now_ms() + for_ms, found))

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._asking.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Aliases remembered."""
        return {"aliases": len(self._memory)}


def _read(answer: Mapping[str, Any], server_name: str) -> FoundRoom:
    """The server that answered comes first: it is there, which can be said of no other. Raises BadAnswer."""
    room_id, servers = answer.get("room_id"), answer.get("servers")
    if not is_room_id(room_id):
        raise BadAnswer("The other server's answer has no room id")
    named = servers if isinstance(servers, list) else []
    usable = [each for each in named[: 10 * MAX_SERVERS] if isinstance(each, str) and is_server_name(each)]
    return FoundRoom(str(room_id), list(dict.fromkeys([server_name, *usable]))[:MAX_SERVERS])
