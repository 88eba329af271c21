"""What people report."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.reading import ReadingServices
from homeserver.http.client.reports import ReportEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.reports.reports import DAY_MS, Reports
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.single_event import EventFinder
from homeserver.storage.reports import ReportRows


@dataclass(frozen=True, slots=True)
class ReportServices:
    """`reports.on_reported`: who else wants to know."""

    reports: Reports
    endpoints: list[Endpoint] = field(default_factory=list)


def build_reports(base: Foundation, reading: ReadingServices) -> ReportServices:
    """Reads rooms as their members see them."""
    reports = Reports(
        queries=base.database,
        rows=ReportRows(),
        opener=RoomOpener(base.cache, reading.visibility),
        visibility=reading.visibility,
        finder=EventFinder(base.database, base.events),
        clock=base.clock,
    )
    base.life.every(DAY_MS, reports.tidy, "forget-old-reports")
    return ReportServices(reports, list(endpoints_of(ReportEndpoints(reports))))
