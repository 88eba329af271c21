"""Table `reports`: what people told the administrators about events, rooms and users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Kind = Literal["event", "room", "user"]

_COLUMNS = "report_id, kind, reporter, room_id, event_id, about_user, reason, score, received_ms"

# Nothing where the reporter has told so much already.
ADD = """
INSERT INTO reports (kind, reporter, room_id, event_id, about_user, reason, score, received_ms)
SELECT $1, $2, $3, $4, $5, $6, $7, $8
WHERE (SELECT count(*) FROM (SELECT FROM reports WHERE reporter = $2 LIMIT $9) AS told) < $9
RETURNING report_id
"""

_WANTED = """
FROM reports
WHERE kind = $1 AND ($2::text IS NULL OR reporter = $2) AND ($3::text IS NULL OR room_id = $3)
    AND ($4::text IS NULL OR about_user = $4)
"""

PAGE = f"SELECT {_COLUMNS} {_WANTED} ORDER BY report_id DESC OFFSET $5 LIMIT $6"

PAGE_OLDEST_FIRST = f"SELECT {_COLUMNS} {_WANTED} ORDER BY report_id OFFSET $5 LIMIT $6"

COUNT = f"SELECT count(*) {_WANTED}"

GET = f"SELECT {_COLUMNS} FROM reports WHERE kind = $1 AND report_id = $2"

DELETE = "DELETE FROM reports WHERE kind = $1 AND report_id = $2 RETURNING true"

FORGET = "DELETE FROM reports WHERE received_ms < $1"


@dataclass(frozen=True, slots=True)
class NewReport:
    """What somebody told. `about_user`: the sender of the event, or who is reported."""

    kind: Kind
    reporter: str
    received_ms: int
    room_id: str | None = None
    event_id: str | None = None
    about_user: str | None = None
    reason: str | None = None
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The same, with its number."""

    report_id: int
    kind: Kind
    reporter: str
    room_id: str | None
    event_id: str | None
    about_user: str | None
    reason: str | None
    score: int | None
    received_ms: int


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports; None: whoever, wherever."""

    kind: Kind
    reporter: str | None = None
    room_id: str | None = None
    about_user: str | None = None


class ReportRows:
    """Queries over reports."""

    async def add(self, q: Queries, report: NewReport, most_of_reporter: int) -> int | None:
        """The number of the new report; None where the reporter has that many already."""
        report_id: int | None = await q.fetchval(
            ADD,
            report.kind,
            report.reporter,
            report.room_id,
            report.event_id,
            report.about_user,
            report.reason,
            report.score,
            report.received_ms,
            most_of_reporter,
        )
        return report_id

    async def page(
        self, q: Queries, wanted: ReportFilter, offset: int, limit: int, *, oldest_first: bool = False
    ) -> list[Report]:
        """Newest first, or the other way round."""
        statement = PAGE_OLDEST_FIRST if oldest_first else PAGE
        return [Report(*row) for row in await q.fetch(statement, *_arguments(wanted), offset, limit)]

    async def count(self, q: Queries, wanted: ReportFilter) -> int:
        """How many there are."""
        return int(await q.fetchval(COUNT, *_arguments(wanted)))

    async def get(self, q: Queries, kind: Kind, report_id: int) -> Report | None:
        """One report."""
        row = await q.fetchrow(GET, kind, report_id)
        return Report(*row) if row else None

    async def delete(self, q: Queries, kind: Kind, report_id: int) -> bool:
        """False where there is none."""
        return bool(await q.fetchval(DELETE, kind, report_id))

    async def forget(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: remove what is older."""
        await q.execute(FORGET, before_ms)


def _arguments(wanted: ReportFilter) -> tuple[str | None, ...]:
    return (wanted.kind, wanted.reporter, wanted.room_id, wanted.about_user)
