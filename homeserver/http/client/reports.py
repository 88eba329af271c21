"""Client-server API, "Reporting content"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.reports.reports import Reports

MAX_BODY_BYTES = 64 * 1024
CLIENT = "/_matrix/client/v3"


class EventReportBody(msgspec.Struct):
    reason: str | None = None
    # From before v1.8 of the specification.
    score: int | None = None


class ReportBody(msgspec.Struct):
    reason: str


@dataclass(frozen=True, slots=True)
class ReportEndpoints:
    """The same answer for rooms and users that do not exist."""

    reports: Reports

    @endpoint(
        "POST", f"{CLIENT}/rooms/{{room_id}}/report/{{event_id}}", body=EventReportBody, limit="report",
        max_body_bytes=MAX_BODY_BYTES,
    )  # fmt: skip
    async def report_event(self, request: Request[EventReportBody]) -> Response:
        path, body = request.path, request.body
        await self.reports.report_event(
            request.requester, path["room_id"], path["event_id"], body.reason, body.score
        )  # fmt: skip
        return {}

    @endpoint(
        "POST", f"{CLIENT}/rooms/{{room_id}}/report", "/_matrix/client/unstable/org.matrix.msc4151/rooms/{room_id}/report",
        body=ReportBody, limit="report", max_body_bytes=MAX_BODY_BYTES,
    )  # fmt: skip
    async def report_room(self, request: Request[ReportBody]) -> Response:
        await self.reports.report_room(request.requester, request.path["room_id"], request.body.reason)
        return {}

    @endpoint(
        "POST", f"{CLIENT}/users/{{user_id}}/report",
        "/_matrix/client/unstable/org.matrix.msc4260/users/{user_id}/report",
        body=ReportBody, limit="report", max_body_bytes=MAX_BODY_BYTES,
    )  # fmt: skip
    async def report_user(self, request: Request[ReportBody]) -> Response:
        await self.reports.report_user(request.requester, request.path["user_id"], request.body.reason)
        return {}
