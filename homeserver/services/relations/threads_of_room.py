"""GET /rooms/{roomId}/threads: the roots of a room's threads, those with the newest replies first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.relations.aggregations import multirange
from homeserver.services.requester import Requester
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.presentation import IgnoredUsers, Presenter
from homeserver.services.tokens import format_timeline_token, parse_timeline_token
from homeserver.services.visibility import Seen, Visibility, redacted_copy
from homeserver.storage.positions import StreamPosition
from homeserver.storage.relations import Relations

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class ThreadsPage:
    """Roots in JSON. `next_batch` None: there is no more."""

    chunk: list[bytes]
    next_batch: str | None


@dataclass(frozen=True, slots=True)
class ReadThreads:
    """One verb."""

    queries: Queries
    rows: Relations
    opener: RoomOpener
    visibility: Visibility
    presenter: Presenter
    ignored: IgnoredUsers
    stream: StreamPosition

    async def __call__(
        self, reader: Requester, room_id: str, *, limit: int, start: str | None, participated: bool
    ) -> ThreadsPage:
        """The page. `participated`: only threads in which the reader wrote, the root or a reply. Raises Forbidden, and
        InvalidParam for tokens that this server never made.
        """
        now = self.stream.current
        up_to = now if start is None else min(now, parse_timeline_token(start))
        opened = await self.opener.open(room_id, reader.user_id)
        ignored = await self.ignored(reader.user_id)
        rows, looked_to = await self.rows.threads(
            self.queries,
            opened.room.room_nid,
            reader=reader.user_id,
            up_to=up_to,
            seen=multirange(opened.ranges),
            ignored=ignored,
            limit=limit + 1,
            participated=participated,
        )
        told = rows[:limit]
        seen = await self.visibility.see(
            opened.room, reader.user_id, [to_timeline_event(row, room_id) for row in told], opened.perspective
        )
        last = told[-1]["latest_position"] if len(rows) > limit else looked_to
        return ThreadsPage(
            chunk=await self.presenter.show(reader, room_id, _without_ignored(opened, seen, ignored), opened),
            next_batch=None if last is None else format_timeline_token(last - 1),
        )


def _without_ignored(opened: OpenRoom, seen: Sequence[Seen], ignored: Collection[str]) -> list[Seen]:
    """ "If the thread root event was sent by an ignored user, the event is returned redacted to the caller." """
    return [
        Seen(redacted_copy(each.event, opened.room.version), each.membership) if each.event.sender in ignored else each
        for each in seen
    ]
