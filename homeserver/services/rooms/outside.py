"""Memberships of rooms that this server is not in: invitations, knocks, and their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.client_event import split
from homeserver.protocol.errors import Forbidden
from homeserver.protocol.events import Event
from homeserver.services.announcer import Announcer, Resolved
from homeserver.services.awake import OUTSIDE
from homeserver.services.clock import Clock
from homeserver.services.rooms.timeline_event import OUTLIER, TimelineEvent
from homeserver.storage.outliers import Outliers
from homeserver.storage.positions import StreamPosition
from homeserver.storage.recent import RecentChanges
from homeserver.storage.stripped_states import OutsideRow, StrippedStates

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class OutsideMemberships:
    """Two verbs. `position` and `recent` are those of the events stream: its readers look for news there."""

    queries: Queries
    rows: StrippedStates
    outliers: Outliers
    position: StreamPosition
    recent: RecentChanges[TimelineEvent]
    announcer: Announcer
    clock: Clock

    async def record(self, event: Event, stripped: Sequence[bytes] = ()) -> None:
        """Keep a membership event of a user of ours, of a room without anybody of ours, and tell him.

        `event`: checked and signed. `stripped`: what an invitation or a knock is shown with, checked, events in JSON; of
        other events nothing is kept. Raises Forbidden where the event is in the room's timeline here, or belongs to another
        room.
        """
        assert event.state_key is not None
        assert event.membership is not None
        room_nid, _ = await self.outliers.ensure_room(
            self.queries, event.room_id, event.room_version.version, self.clock.now_ms()
        )
        async with self.position.writing(recent=self.recent) as (number,):
            row = _row(event, room_nid, number, stripped)
            stored = await self.rows.store(self.queries, row)
            if stored is None:
                raise Forbidden("The event is known here already")
            told = _told(event, row, stored)
            # Before the position is told: whoever sees it finds the news in memory.
            self.recent.add(number, told)
        self.announcer.announce_outside(told)

    async def forget(self, user_id: str, room_id: str) -> None:
        """An invitation or knock is void, without an event that ends it: the room is as unknown to the user as before."""
        await self.rows.forget(self.queries, user_id, room_id)
        went = [("m.room.member", user_id)]
        self.announcer.announce_resolved(Resolved(room_id, (), went, went))


def _row(event: Event, room_nid: int, number: int, stripped: Sequence[bytes]) -> OutsideRow:
    body, envelope = split(event)
    membership = event.membership or ""
    return OutsideRow(
        room_nid=room_nid,
        user_id=event.state_key or "",
        number=number,
        depth=event.depth,
        origin_server_ts=event.origin_server_ts,
        flags=OUTLIER,
        event_id=event.event_id,
        type=event.type,
        sender=event.sender,
        body=body,
        envelope=envelope,
        membership=membership,
        state=b"[%b]" % b",".join(stripped) if membership in OUTSIDE else None,
    )


def _told(event: Event, row: OutsideRow, event_nid: int) -> TimelineEvent:
    return TimelineEvent(
        event_nid=event_nid,
        position=row.number,
        room_nid=row.room_nid,
        room_id=event.room_id,
        event_id=event.event_id,
        type=event.type,
        state_key=event.state_key,
        sender=event.sender,
        origin_server_ts=event.origin_server_ts,
        depth=event.depth,
        flags=OUTLIER,
        body=row.body,
        unsigned=None,
        content=event.content,
    )
