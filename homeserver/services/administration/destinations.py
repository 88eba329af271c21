"""Other servers: which there are, and which of them fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from homeserver.protocol.errors import NotFound, Unknown
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.requester import Requester
from homeserver.storage.destinations import DestinationRows
from homeserver.storage.unreachable_servers import Pause

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


class Failing(Protocol):
    """Which servers fail, and until when they are left alone: federation/pauses.py."""

    def pause_of(self, server_name: str) -> Pause | None: ...

    def failing(self) -> Mapping[str, Pause]: ...

    def reached(self, server_name: str) -> None:
        """Nothing is held against it any more; what waits for it is sent."""
        ...


@dataclass(frozen=True, slots=True)
class Destination:
    """Another server. `pause` where it fails; `sent`: events up to this position have been delivered, None where that is not
    kept because nothing waits.
    """

    server_name: str
    pause: Pause | None
    sent: int | None


ORDERS: Final[Mapping[str, Callable[[Destination], Any]]] = {
    "destination": lambda each: each.server_name,
    "retry_last_ts": lambda each: 0 if each.pause is None else tried_ms(each.pause),
    "retry_interval": lambda each: 0 if each.pause is None else each.pause.pause_ms,
    "failure_ts": lambda each: None if each.pause is None else each.pause.failing_since_ms,
    "last_successful_stream_ordering": lambda each: each.sent,
}
"""By the names that administrators use."""


@dataclass(frozen=True, slots=True)
class DestinationAdministration:
    """Servers with members in rooms of this server, and those that had to be told something."""

    queries: Queries
    rows: DestinationRows
    failing: Failing
    audit: AuditLog
    server_name: str

    async def page(self, order: str, *, descending: bool, limit: int, offset: int) -> tuple[list[Destination], int]:
        """A page, and how many there are. `order`: a name in `ORDERS`."""
        sent, failing = await self.rows.sent(self.queries), self.failing.failing()
        names = {*await self.rows.servers(self.queries), *sent, *failing} - {self.server_name}
        found = [Destination(name, failing.get(name), sent.get(name)) for name in sorted(names)]

        def key(each: Destination) -> tuple[bool, Any]:
            value = ORDERS[order](each)
            return (value is None, value)

        return sorted(found, key=key, reverse=descending)[offset : offset + limit], len(found)

    async def get(self, server_name: str) -> Destination:
        """One. Raises NotFound."""
        pause, sent = self.failing.pause_of(server_name), await self.rows.sent_to(self.queries, server_name)
        is_known = pause is not None or sent is not None or await self.rows.is_known(self.queries, server_name)
        if not is_known or server_name == self.server_name:
            raise NotFound("Unknown destination")
        return Destination(server_name, pause, sent)

    async def rooms(
        self, server_name: str, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[str], int, Destination]:
        """The rooms that the server is, or was, in: a page, and how many. Raises NotFound."""
        destination = await self.get(server_name)
        rooms, total = await self.rows.rooms(
            self.queries, server_name, descending=descending, limit=limit, offset=offset
        )
        return rooms, total, destination

    async def reset(self, requester: Requester, server_name: str) -> None:
        """Try it again now. Raises NotFound; Unknown where it does not fail."""
        if (await self.get(server_name)).pause is None:
            raise Unknown("The retry timing does not need to be reset for this destination")
        await self.audit.record(self.queries, requester, "destination.reset", server_name)
        self.failing.reached(server_name)


def tried_ms(pause: Pause) -> int:
    """When it was tried last, as nearly as that is kept."""
    return pause.retry_at_ms - pause.pause_ms
