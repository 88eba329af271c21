"""What people reported: events at the addresses and in the form that Synapse's tools know, rooms and users at our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.http.admin.paging import MAX_OFFSET, paging_of
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.administration.reports import ReportAdministration
from homeserver.services.administration.room_facts import RoomFacts
from homeserver.storage.reports import Kind, Report, ReportFilter

REPORTS = "/_synapse/admin/v1/event_reports"
OTHERS = "/_voicechat/admin/v1/reports"
KINDS: Final[Mapping[str, Kind]] = {"rooms": "room", "users": "user"}


@dataclass(frozen=True, slots=True)
class EventReportEndpoints:
    """All for administrators."""

    reports: ReportAdministration

    @endpoint("GET", REPORTS, auth=Auth.ADMIN)
    async def page(self, request: Request[None]) -> Response:
        query = request.query
        wanted = ReportFilter(
            "event", query.string("user_id"), query.string("room_id"), query.string("event_sender_user_id")
        )
        reports, answer = await self._page(request, wanted)
        rooms = await self.reports.rooms_of(reports)
        return {"event_reports": [_shown_event(report, rooms) for report in reports], **answer}

    async def _page(self, request: Request[None], wanted: ReportFilter) -> tuple[list[Report], dict[str, Any]]:
        """Newest first, unless `dir=f`."""
        place = paging_of(request.query, direction="b")
        reports, total = await self.reports.page(
            wanted, oldest_first=not place.descending, limit=place.limit, offset=place.offset
        )
        following = place.offset + len(reports)
        return reports, {"total": total} | ({"next_token": following} if reports and following < total else {})

    @endpoint("GET", f"{REPORTS}/{{report_id}}", auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        report = await self.reports.get("event", _number(request.path["report_id"]))
        event = await self.reports.event_of(request.requester, report)
        return {**_shown_event(report, await self.reports.rooms_of([report])), "event_json": event}

    @endpoint("DELETE", f"{REPORTS}/{{report_id}}", auth=Auth.ADMIN, limit="administration")
    async def delete(self, request: Request[None]) -> Response:
        await self.reports.delete(request.requester, "event", _number(request.path["report_id"]))
        return {}

    @endpoint("GET", f"{OTHERS}/{{kind}}", auth=Auth.ADMIN)
    async def others(self, request: Request[None]) -> Response:
        """Of `rooms` or `users`. `reporter`, `room_id` and `about` choose some of them."""
        query = request.query
        wanted = ReportFilter(
            _kind(request), query.string("reporter"), query.string("room_id"), query.string("about")
        )  # fmt: skip
        reports, answer = await self._page(request, wanted)
        return {"reports": [_shown(report) for report in reports], **answer}

    @endpoint("DELETE", f"{OTHERS}/{{kind}}/{{report_id}}", auth=Auth.ADMIN, limit="administration")
    async def delete_other(self, request: Request[None]) -> Response:
        await self.reports.delete(request.requester, _kind(request), _number(request.path["report_id"]))
        return {}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_OFFSET)):
        raise InvalidParam("The report's id is a number")
    return int(text)


def _kind(request: Request[None]) -> Kind:
    kind = KINDS.get(request.path["kind"])
    if kind is None:
        raise InvalidParam(f"There are reports of {' and '.join(KINDS)}, and those of events at {REPORTS}")
    return kind


def _shown_event(report: Report, rooms: Mapping[str, RoomFacts]) -> dict[str, Any]:
    room = None if report.room_id is None else rooms.get(report.room_id)
    return {
        "id": report.report_id,
        "received_ts": report.received_ms,
        "room_id": report.room_id,
        "event_id": report.event_id,
        "user_id": report.reporter,
        "reason": report.reason,
        "score": report.score,
        "sender": report.about_user,
        "name": None if room is None else room.name,
        "canonical_alias": None if room is None else room.canonical_alias,
    }


def _shown(report: Report) -> dict[str, Any]:
    return {
        "id": report.report_id,
        "received_ts": report.received_ms,
        "reporter": report.reporter,
        "room_id": report.room_id,
        "about": report.about_user,
        "reason": report.reason,
    }
