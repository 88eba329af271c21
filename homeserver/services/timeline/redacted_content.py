"""What a redacted event said, for those who moderate the room (MSC2815)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden, MatrixError
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.clock import Clock
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.redacted_bodies import RedactedBodies

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FORGOTTEN_AT_ONCE: Final = 10_000


class ContentDeletedError(MatrixError):
    """ "The server has deleted the content from its database"; `keep_ms` is how long it has it."""

    def __init__(self, keep_ms: int) -> None:
        super().__init__(
            "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED",
            404,
            "What this event said is not kept any longer",
            {"fi.mau.msc2815.content_keep_ms": keep_ms},
        )


@dataclass(frozen=True, slots=True)
class RedactedContent:
    """Kept for `keep_ms`; 0: not at all."""

    queries: Queries
    rows: RedactedBodies
    audit: AuditLog
    clock: Clock
    keep_ms: int

    async def restore(self, reader: Requester, room: LiveRoom, event: TimelineEvent) -> TimelineEvent:
        """The event as it was, if it is redacted. The reader may see it. Raises Forbidden, ContentDeletedError.

        "Servers MUST check that the requester has a power level higher than or equal to the `redact` power level in the room."
        Administrators of the server may look as well, and that is written down.
        """
        moderates = reader.user_id in room.joined and _may_redact(room, reader.user_id)
        if not moderates and not reader.is_admin:
            raise Forbidden("Only who may redact others' messages may see what they said")
        if not event.is_redacted:
            return event
        body = await self.rows.get(self.queries, event.event_nid, self.clock.now_ms() - self.keep_ms)
        if body is None or self.keep_ms == 0:
            raise ContentDeletedError(self.keep_ms)
        if not moderates:
            details = {"room_id": room.room_id, "sender": event.sender}
            await self.audit.record(self.queries, reader, "event.read_redacted", event.event_id, details)
        return event.with_form(body, event.unsigned, event.flags)

    async def tidy(self) -> None:
        """Housekeeping: forget what is kept no longer."""
        await self.rows.prune(self.queries, self.clock.now_ms() - self.keep_ms, FORGOTTEN_AT_ONCE)


def _may_redact(room: LiveRoom, user_id: str) -> bool:
    levels = room.power_levels()
    return levels.of_user(user_id) >= levels.redact
