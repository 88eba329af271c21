"""GET /rooms/{roomId}/messages: a page of a room's history."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.timeline.gaps import Pages
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.pages import EVERY_EVENT, Page, PageWish
from homeserver.services.timeline.past_state import PastState
from homeserver.services.timeline.presentation import IgnoredUsers, Presenter
from homeserver.services.timeline.spans import LOWEST
from homeserver.services.tokens import format_timeline_token, parse_timeline_token
from homeserver.services.visibility import Sight
from homeserver.storage.positions import StreamPosition


@dataclass(frozen=True, slots=True)
class MessagesQuery:
    """What the client asks for. Tokens as they came; None: from the end, or the beginning, and to the other one."""

    backwards: bool
    limit: int
    start: str | None = None
    stop: str | None = None
    filter: RoomEventFilter = EVERY_EVENT


@dataclass(frozen=True, slots=True)
class MessagesPage:
    """Events in JSON, in the order asked for. `end` None: there is no more. `state` None: nobody asked for it."""

    chunk: list[bytes]
    start: str
    end: str | None
    state: list[bytes] | None


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """One verb."""

    opener: RoomOpener
    visibility: Sight
    pages: Pages
    past: PastState
    presenter: Presenter
    ignored: IgnoredUsers
    stream: StreamPosition

    async def __call__(self, reader: Requester, room_id: str, query: MessagesQuery) -> MessagesPage:
        """The page. Raises Forbidden, InvalidParam for tokens that this server never made."""
        start = None if query.start is None else parse_timeline_token(query.start)
        stop = None if query.stop is None else parse_timeline_token(query.stop)
        opened = await self.opener.open(room_id, reader.user_id)
        wish = await self._wish(reader, opened, query, start, stop)
        opened, page = await self.pages.read(reader.user_id, opened, wish)
        seen = await self.visibility.see(opened.room, reader.user_id, page.events, opened.perspective)
        return MessagesPage(
            chunk=await self.presenter.show(reader, room_id, seen, opened),
            start=query.start or format_timeline_token(_start(wish, page)),
            end=None if page.end is None else format_timeline_token(page.end),
            state=await self._state(opened.room, query, page.events),
        )

    async def _wish(
        self, reader: Requester, opened: OpenRoom, query: MessagesQuery, start: int | None, stop: int | None
    ) -> PageWish:
        # What is committed but not announced yet does not exist for readers: tokens must not step over it.
        now = self.stream.current
        first, last = (stop, start) if query.backwards else (start, stop)
        return PageWish(
            ranges=opened.ranges,
            after=LOWEST if first is None else first,
            up_to=now if last is None else min(now, last),
            limit=query.limit,
            newest_first=query.backwards,
            filter=query.filter,
            ignored=await self.ignored(reader.user_id),
        )

    async def _state(self, room: LiveRoom, query: MessagesQuery, events: list[TimelineEvent]) -> list[bytes] | None:
        """ "If `lazy_load_members` is enabled [...] the membership events for the senders of events in the `chunk`." """
        if not query.filter.lazy_load_members:
            return None
        if not events:
            return []
        members = await self.past.members(room, events[0].position, (event.sender for event in events))
        return self.presenter.show_state(room.room_id, members)


def _start(wish: PageWish, page: Page) -> int:
    """Where a page begins that was asked for without a token."""
    if wish.newest_first:
        return wish.up_to
    return page.events[0].position - 1 if page.events else wish.up_to
