"""GET /rooms/{roomId}/relations/{eventId}: the events that relate to one, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.services.relations.aggregations import multirange
from homeserver.services.requester import Requester
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.presentation import IgnoredUsers, Presenter
from homeserver.services.timeline.single_event import NO_SUCH_EVENT, EventFinder
from homeserver.services.timeline.spans import LOWEST
from homeserver.services.tokens import format_timeline_token, parse_timeline_token
from homeserver.services.visibility import Visibility
from homeserver.storage.positions import StreamPosition
from homeserver.storage.relations import ChildrenWish, Relations

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class RelationsQuery:
    """What the client asks for. Tokens as they came."""

    room_id: str
    event_id: str
    limit: int
    rel_type: str | None = None
    event_type: str | None = None
    backwards: bool = True
    start: str | None = None
    stop: str | None = None
    recurse: bool = False


@dataclass(frozen=True, slots=True)
class RelatedPage:
    """Events in JSON, in the order asked for. `next_batch` None: there is no more. `prev_batch` None: this is the first page."""

    chunk: list[bytes]
    next_batch: str | None
    prev_batch: str | None


@dataclass(frozen=True, slots=True)
class ReadRelations:
    """One verb."""

    queries: Queries
    rows: Relations
    opener: RoomOpener
    visibility: Visibility
    finder: EventFinder
    presenter: Presenter
    ignored: IgnoredUsers
    stream: StreamPosition

    async def __call__(self, reader: Requester, query: RelationsQuery) -> RelatedPage:
        """The page. Raises NotFound: "The parent event was not found or the user does not have permission to read this
        event"; InvalidParam for tokens that this server never made.
        """
        start = None if query.start is None else parse_timeline_token(query.start)
        stop = None if query.stop is None else parse_timeline_token(query.stop)
        opened = await self._open(reader, query)
        wish = await self._wish(reader, opened, query, start, stop)
        rows, looked_to = await self.rows.children(self.queries, wish)
        events = [to_timeline_event(row, query.room_id) for row in rows[: query.limit]]
        seen = await self.visibility.see(opened.room, reader.user_id, events, opened.perspective)
        last = events[-1].position if len(rows) > query.limit else looked_to
        return RelatedPage(
            chunk=await self.presenter.show(reader, query.room_id, seen, opened),
            next_batch=None if last is None else format_timeline_token(last - 1 if query.backwards else last),
            prev_batch=query.start,
        )

    async def _open(self, reader: Requester, query: RelationsQuery) -> OpenRoom:
        """The room of a parent that the reader may see."""
        try:
            opened = await self.opener.open(query.room_id, reader.user_id)
        except Forbidden:
            raise NotFound(NO_SUCH_EVENT) from None
        parent = await self.finder.find(opened.room, query.event_id)
        if not await self.visibility.see(opened.room, reader.user_id, [parent], opened.perspective):
            raise NotFound(NO_SUCH_EVENT)
        return opened

    async def _wish(
        self, reader: Requester, opened: OpenRoom, query: RelationsQuery, start: int | None, stop: int | None
    ) -> ChildrenWish:
        # What is committed but not announced yet does not exist for readers: tokens must not step over it.
        now = self.stream.current
        first, last = (stop, start) if query.backwards else (start, stop)
        return ChildrenWish(
            room_nid=opened.room.room_nid,
            parent_id=query.event_id,
            after=LOWEST if first is None else first,
            up_to=now if last is None else min(now, last),
            seen=multirange(opened.ranges),
            ignored=await self.ignored(reader.user_id),
            # One more tells whether another page follows.
            limit=query.limit + 1,
            newest_first=query.backwards,
            rel_type=query.rel_type,
            event_type=query.event_type,
            recurse=query.recurse,
        )
