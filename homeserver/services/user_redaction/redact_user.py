"""MSC4194: a moderator redacts what a user has said in a room, the newest first."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.auth.permissions import may_redact, may_send
from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.membership.content import check_joined
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.redact_event import RedactEvent
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.room_cache import HIGHEST_POSITION, RoomCache
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import REDACTED, SOFT_FAILED
from homeserver.storage.user_events import UserEventRows

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_AT_ONCE: Final = 100
LOOKED_AT: Final = 5_000
"""Events of the room that one statement looks at."""
MAX_STRETCHES: Final = 20
"""Of a request: after that, the client may go on."""


@dataclass(frozen=True, slots=True)
class RedactedSome:
    """How many events were redacted, soft-failed ones included, and whether there may be more."""

    total: int
    soft_failed: int
    is_more: bool


@dataclass(frozen=True, slots=True)
class RedactUser:
    """One verb."""

    queries: Queries
    rows: UserEventRows
    cache: RoomCache
    redact: RedactEvent

    async def __call__(
        self, requester: Requester, room_id: str, user_id: str, reason: str | None, limit: int
    ) -> RedactedSome:
        """Redact at most `limit` events (of which more than `MAX_AT_ONCE` are not done). Raises Forbidden, InvalidParam."""
        parse_user_id(user_id)
        room = await self._room(requester, room_id, user_id)
        limit = min(limit, MAX_AT_ONCE)
        hidden = await self.rows.soft_failed(self.queries, room.room_nid, user_id, REDACTED, SOFT_FAILED, limit)
        shown, is_more = await self._shown(room, user_id, limit - len(hidden))
        content: dict[str, Any] = {} if reason is None else {"reason": reason}
        for record in hidden:
            await self.redact.unseen(requester, to_timeline_event(record, room_id), content)
        for event_id in shown:
            await self.redact(requester, room_id, event_id, content, secrets.token_urlsafe(12))
        return RedactedSome(len(hidden) + len(shown), len(hidden), is_more or len(hidden) == limit)

    async def _room(self, requester: Requester, room_id: str, user_id: str) -> LiveRoom:
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            raise not_in_room(room_id) from None
        check_joined(room, requester.user_id)
        levels = room.power_levels()
        allowed = may_redact(levels, requester.user_id, user_id)
        if not allowed or not may_send(levels, requester.user_id, "m.room.redaction"):
            raise Forbidden("You do not have the power to redact what others have said")
        return room

    async def _shown(self, room: LiveRoom, user_id: str, limit: int) -> tuple[list[str], bool]:
        """Event ids, and whether there may be more."""
        found: list[str] = []
        before: int | None = HIGHEST_POSITION
        for _ in range(MAX_STRETCHES):
            if before is None or len(found) > limit:
                break
            # One more than wanted: whether there is one is a part of the answer.
            stretch = await self.rows.stretch(
                self.queries, room.room_nid, user_id, REDACTED, before, LOOKED_AT, limit + 1 - len(found)
            )
            found += [event_id for event_id, _ in stretch.events]
            before = stretch.end
        return found[:limit], before is not None or len(found) > limit
