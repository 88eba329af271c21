"""Rooms that nobody of this server comes into: blocked by an administrator, or about to be deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Forbidden
from homeserver.storage.blocked_rooms import BlockedRoomRows

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries


@dataclass(frozen=True, slots=True)
class BlockedRooms:
    """All in memory, for every join asks. `closing` is kept by what deletes rooms."""

    database: Database
    rows: BlockedRoomRows
    audit: AuditLog
    clock: Clock
    closing: set[str] = field(default_factory=set)
    _blocked: dict[str, str] = field(default_factory=dict)

    async def load(self) -> None:
        """Before the first request."""
        self._blocked.update(await self.rows.all(self.database))

    def check(self, room_id: str) -> None:
        """Whether somebody of this server may come into the room, or be invited. Raises Forbidden."""
        if room_id in self._blocked or room_id in self.closing:
            raise Forbidden("This room has been blocked on this server")

    def blocked_by(self, room_id: str) -> str | None:
        """Who has blocked it; None for nobody."""
        return self._blocked.get(room_id)

    async def set_blocked(self, requester: Requester, room_id: str, blocked: bool) -> None:
        """Block a room or let people in again."""
        async with self.database.transaction() as tx:
            if blocked:
                await self.block(tx, requester, room_id)
            else:
                await self.rows.remove(tx, room_id)
                await self.audit.record(tx, requester, "room.unblock", room_id)
        self.follow(requester.user_id, room_id, blocked)

    async def block(self, q: Queries, requester: Requester, room_id: str) -> None:
        """As part of something larger; `follow` it once that is committed."""
        await self.rows.add(q, room_id, requester.user_id, self.clock.now_ms())
        await self.audit.record(q, requester, "room.block", room_id)

    def follow(self, user_id: str, room_id: str, blocked: bool) -> None:
        """What is committed is in force."""
        if blocked:
            self._blocked.setdefault(room_id, user_id)
        else:
            self._blocked.pop(room_id, None)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"blocked": len(self._blocked), "closing": len(self.closing)}
