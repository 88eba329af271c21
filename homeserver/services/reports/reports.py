"""Take a report of an event, a room or a user."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden, InvalidParam, LimitExceeded, NotFound
from homeserver.protocol.identifiers import check_event_id, parse_room_id, parse_user_id
from homeserver.services.requester import Requester
from homeserver.services.text_limits import check_text
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.single_event import NO_SUCH_EVENT, EventFinder
from homeserver.services.visibility import Visibility
from homeserver.storage.reports import NewReport, ReportRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

MAX_REASON_CHARACTERS: Final = 4_000
MAX_OF_REPORTER: Final = 1_000
DAY_MS: Final = 24 * 60 * 60_000
KEPT_MS: Final = 365 * DAY_MS
LEAST_SCORE: Final = -100

log = logging.getLogger(__name__)

Reported = Callable[[NewReport], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reports:
    """Each verb stores one report. Raises InvalidParam, LimitExceeded (the reporter has told enough)."""

    queries: Queries
    rows: ReportRows
    opener: RoomOpener
    visibility: Visibility
    finder: EventFinder
    clock: Clock
    on_reported: list[Reported] = field(default_factory=list)
    """Told after the report was stored."""

    async def report_event(
        self, requester: Requester, room_id: str, event_id: str, reason: str | None, score: int | None = None
    ) -> None:
        """An event, by a member of its room who may see it. Raises NotFound for everybody else, whyever."""
        _check_reason(reason)
        if score is not None and not LEAST_SCORE <= score <= 0:
            raise InvalidParam(f"'score' must be between {LEAST_SCORE} and 0")
        sender = await self._sender(requester, room_id, event_id)
        now_ms, reporter = self.clock.now_ms(), requester.user_id
        await self._store(NewReport("event", reporter, now_ms, room_id, event_id, sender, reason, score))

    async def report_room(self, requester: Requester, room_id: str, reason: str) -> None:
        """A room, known or not, by anybody."""
        _check_reason(reason)
        parse_room_id(room_id)
        await self._store(NewReport("room", requester.user_id, self.clock.now_ms(), room_id, reason=reason))

    async def report_user(self, requester: Requester, user_id: str, reason: str) -> None:
        """Somebody, known or not, by anybody."""
        _check_reason(reason)
        parse_user_id(user_id)
        now_ms = self.clock.now_ms()
        await self._store(NewReport("user", requester.user_id, now_ms, about_user=user_id, reason=reason))

    async def _sender(self, requester: Requester, room_id: str, event_id: str) -> str:
        check_event_id(event_id)
        try:
            room, access = await self.opener.access(room_id, requester.user_id)
        except Forbidden:
            raise NotFound(NO_SUCH_EVENT) from None
        if not access.joined:
            raise NotFound(NO_SUCH_EVENT)
        event = await self.finder.find(room, event_id)
        if not await self.visibility.see(room, requester.user_id, [event], access.perspective):
            raise NotFound(NO_SUCH_EVENT)
        return event.sender

    async def _store(self, report: NewReport) -> None:
        if await self.rows.add(self.queries, report, MAX_OF_REPORTER) is None:
            raise LimitExceeded("You have reported so much that somebody has to look at it first")
        about = report.event_id or report.about_user or report.room_id
        log.info("%s reported the %s %s", report.reporter, report.kind, about)
        for reported in self.on_reported:
            await reported(report)

    async def tidy(self) -> None:
        """Housekeeping: forget what is too old."""
        await self.rows.forget(self.queries, self.clock.now_ms() - KEPT_MS)


def _check_reason(reason: str | None) -> None:
    if reason is not None:
        check_text(reason, "reason", MAX_REASON_CHARACTERS)
