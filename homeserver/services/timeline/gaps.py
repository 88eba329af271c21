"""Pages across holes of a timeline (decision 0017): what is missing is asked of other servers when a page comes to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.pages import Page, PageReader, PageWish

# Whoever fills brings at least one event each time, and asks other servers within limits of its own.
MAX_FILLS = 4


class FillHistory(Protocol):
    """Brings older history into a gap of a timeline; implemented by federation."""

    async def __call__(self, room: LiveRoom, high: int) -> bool:
        """Whether anything came into the gap whose top is `high`, or it is known now that there is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class NoHistory:
    """Without federation all there is is here."""

    async def __call__(self, room: LiveRoom, high: int) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads pages; decides nothing about who may see them but the reader's ranges, which history that comes may change."""

    opener: RoomOpener
    reader: PageReader
    fill: FillHistory = field(default_factory=NoHistory)

    async def read(self, user_id: str, opened: OpenRoom, wish: PageWish) -> tuple[OpenRoom, Page]:
        """The page, and the room as it is now.

        Where nothing comes into a hole the page goes on below it, so that servers that are gone for good hide nothing that
        is here. With nothing below it ends at the hole, and the next page tries again. Raises Forbidden.
        """
        page = await self.reader.read(opened.room, wish)
        for _ in range(MAX_FILLS):
            if page.gap is None or page.end is None:
                break
            below = page.end
            if page.gap.missing and await self.fill(opened.room, page.gap.high):
                opened = await self.opener.open(opened.room.room_id, user_id)
            else:
                below = page.gap.low
            limit = wish.limit - len(page.events)
            rest = await self.reader.read(opened.room, replace(wish, ranges=opened.ranges, up_to=below, limit=limit))
            if below != page.end and not rest.events:
                # What was purged does not come back: there is no reason to ask again.
                page = page if page.gap.missing or page.events else Page([], None)
                break
            events = [*page.events, *rest.events]
            # A page that is not empty has a token, whether more follows or not.
            end = page.end if rest.end is None and events else rest.end
            page = Page(events, end, rest.gap)
        return opened, page
