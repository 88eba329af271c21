"""What people reported, with what an administrator wants to know beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.client_event import join
from homeserver.protocol.errors import NotFound
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.administration.room_facts import ALIAS, NAME, RoomFacts
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.requester import Requester
from homeserver.storage.administered_rooms import AdministeredRooms
from homeserver.storage.pdus import Pdus
from homeserver.storage.reports import Kind, Report, ReportFilter, ReportRows

if TYPE_CHECKING:
    from homeserver.storage.database import Database


@dataclass(frozen=True, slots=True)
class ReportAdministration:
    """Reports of events are what Synapse's tools know; those of rooms and users have addresses of our own."""

    database: Database
    rows: ReportRows
    rooms: AdministeredRooms
    pdus: Pdus
    audit: AuditLog

    async def page(
        self, wanted: ReportFilter, *, oldest_first: bool, limit: int, offset: int
    ) -> tuple[list[Report], int]:
        """A page, and how many there are."""
        total = await self.rows.count(self.database, wanted)
        return await self.rows.page(self.database, wanted, offset, limit, oldest_first=oldest_first), total

    async def get(self, kind: Kind, report_id: int) -> Report:
        """One. Raises NotFound."""
        report = await self.rows.get(self.database, kind, report_id)
        if report is None:
            raise NotFound("Event report not found")
        return report

    async def delete(self, requester: Requester, kind: Kind, report_id: int) -> None:
        """Raises NotFound."""
        report = await self.get(kind, report_id)
        details = {"kind": kind, "reporter": report.reporter, "about": report.about_user, "room_id": report.room_id}
        async with self.database.transaction() as tx:
            if not await self.rows.delete(tx, kind, report_id):
                raise NotFound("Event report not found")
            await self.audit.record(tx, requester, "report.delete", str(report_id), details)

    async def rooms_of(self, reports: Sequence[Report]) -> Mapping[str, RoomFacts]:
        """Names and aliases of the rooms that are still here, by id."""
        room_ids = {report.room_id for report in reports if report.room_id is not None}
        known = await self.rooms.by_ids(self.database, room_ids) if room_ids else []
        by_nid = {room.room_nid: RoomFacts(room) for room in known}
        for state in await self.rooms.state(self.database, list(by_nid), (NAME, ALIAS)):
            by_nid[state.room_nid].learn(state)
        return {facts.room.room_id: facts for facts in by_nid.values()}

    async def event_of(self, requester: Requester, report: Report) -> dict[str, Any]:
        """The event as servers know it; empty where it is gone."""
        assert report.event_id is not None
        for _, room_id, version, _, body, envelope in await self.pdus.pdus(self.database, [report.event_id]):
            details = {"event_id": report.event_id, "report": report.report_id}
            await self.audit.record(self.database, requester, "room.read_event", room_id, details)
            return join(body, envelope, ROOM_VERSIONS[version])
        return {}
