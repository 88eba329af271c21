"""GET /rooms/{roomId}/context/{eventId}: an event with what was said around it."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol.errors import NotFound
from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.requester import Requester
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.timeline.gaps import Pages
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.pages import Page, PageWish
from homeserver.services.timeline.past_state import PastState
from homeserver.services.timeline.presentation import IgnoredUsers, Presenter
from homeserver.services.timeline.single_event import NO_SUCH_EVENT, EventFinder
from homeserver.services.timeline.spans import LOWEST
from homeserver.services.tokens import format_timeline_token
from homeserver.services.visibility import Sight
from homeserver.storage.positions import StreamPosition


@dataclass(frozen=True, slots=True)
class EventContext:
    """JSON of events; `before` newest first, `after` oldest first, `state` as it was after the last of `after`."""

    event: bytes
    before: list[bytes]
    after: list[bytes]
    state: list[bytes]
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class ReadContext:
    """One verb."""

    opener: RoomOpener
    visibility: Sight
    finder: EventFinder
    pages: Pages
    past: PastState
    presenter: Presenter
    ignored: IgnoredUsers
    stream: StreamPosition

    async def __call__(
        self, reader: Requester, room_id: str, event_id: str, limit: int, event_filter: RoomEventFilter
    ) -> EventContext:
        """`limit` is that of `before` and `after` together. Raises Forbidden, NotFound."""
        opened = await self.opener.open(room_id, reader.user_id)
        event = await self.finder.find(opened.room, event_id)
        opened, before, after = await self._around(reader, opened, event, limit, event_filter)
        events = [event, *before.events, *after.events]
        seen = await self.visibility.see(opened.room, reader.user_id, events, opened.perspective)
        if not seen or seen[0].event.event_id != event_id:
            raise NotFound(NO_SUCH_EVENT)
        rendered = await self.presenter.show(reader, room_id, seen, opened)
        shown = dict(zip((each.event.position for each in seen), rendered, strict=True))
        return EventContext(
            event=shown[event.position],
            before=[shown[each.position] for each in before.events if each.position in shown],
            after=[shown[each.position] for each in after.events if each.position in shown],
            state=await self._state(opened, events, (after.events or [event])[-1].position, event_filter),
            start=format_timeline_token(event.position - 1 if before.end is None else before.end),
            end=format_timeline_token(event.position if after.end is None else after.end),
        )

    async def _around(
        self, reader: Requester, opened: OpenRoom, event: TimelineEvent, limit: int, event_filter: RoomEventFilter
    ) -> tuple[OpenRoom, Page, Page]:
        ignored = await self.ignored(reader.user_id)
        before, place, now = limit // 2, event.position, self.stream.current
        older = PageWish(opened.ranges, LOWEST, place - 1, before, True, event_filter, ignored)
        opened, earlier = await self.pages.read(reader.user_id, opened, older)
        newer = PageWish(opened.ranges, place, now, limit - before, False, event_filter, ignored)
        opened, later = await self.pages.read(reader.user_id, opened, newer)
        return opened, earlier, later

    async def _state(
        self, opened: OpenRoom, events: list[TimelineEvent], place: int, event_filter: RoomEventFilter
    ) -> list[bytes]:
        members = {event.sender for event in events} if event_filter.lazy_load_members else None
        state = await self.past.everything(opened.room, place, members)
        wanted = [event for event in state if event_filter.matches_event(event)]
        return self.presenter.show_state(opened.room.room_id, wanted)
