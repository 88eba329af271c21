"""One answer: what is new on a connection between a client's place and a snapshot of all streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.services.sliding_sync.connections import Connection, Delta, Place, Selection
from homeserver.services.sliding_sync.extensions import ExtensionAnswers
from homeserver.services.sliding_sync.lists import RoomLists
from homeserver.services.sliding_sync.request import Extensions, SlidingRequest
from homeserver.services.sliding_sync.results import RoomResult
from homeserver.services.sliding_sync.rooms import Occasion, SlidingRoomParts, ToldRooms
from homeserver.services.sliding_sync.scene import Scene
from homeserver.services.sliding_sync.user_marks import UserMarks
from homeserver.services.sync.changes import ChangesOfRooms, RoomChanges
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.sources import AccountDataEvents
from homeserver.services.sync.streams import Streams
from homeserver.services.tokens import StreamToken


@dataclass(frozen=True, slots=True)
class From:
    """Where an answer begins: the client's place, or how far a waiting request has looked since."""

    token: StreamToken | None
    selection: Selection


@dataclass(frozen=True, slots=True)
class Made:
    """An answer, the place to which it leads, and what the client knows there."""

    lists: Mapping[str, int]
    rooms: Mapping[str, RoomResult]
    extensions: Mapping[str, Any]
    place: Place
    delta: Delta
    has_news: bool


@dataclass(frozen=True, slots=True)
class SlidingAnswers:
    """One verb. Asks the database nothing where the news are recent and the rooms in memory."""

    streams: Streams
    changes: ChangesOfRooms
    marks: UserMarks
    lists: RoomLists
    parts: SlidingRoomParts
    extensions: ExtensionAnswers

    async def make(
        self,
        request: SlidingRequest,
        connection: Connection,
        base: Place,
        start: From,
        snapshot: Snapshot,
        number: int,
    ) -> Made:
        """What is new. `base`: the client's place; `start`: from where to look; `number`: of the place it leads to."""
        since, now, user_id = start.token, snapshot.now, request.user_id
        account_data = await self._account_data(user_id, since, now)
        changes = await self._changes(user_id, since, snapshot)
        own_receipts = await self._own_receipts(request, start, now)
        if _may_select_otherwise(request, start, changes, account_data, own_receipts):
            marks = await self.marks.of_user(user_id, now.account_data)
            selection, facts = await self.lists.select(
                user_id, request.rules, snapshot.rooms, connection.rooms, snapshot.ignored, marks
            )
            told = await self.parts.tell(
                Occasion(request, connection, snapshot, selection, start.selection, facts, changes, own_receipts)
            )
        else:
            selection, told = start.selection, ToldRooms()
        scene = Scene(
            request=request,
            before=base.extensions if base.token is not None else Extensions(),
            since=since,
            snapshot=snapshot,
            selection=selection,
            previous=start.selection,
            changes=changes,
            account_data=account_data,
            told_counts=base.key_counts,
            anew=told.anew,
            shown=told.shown,
        )
        news = await self.extensions.make(scene)
        key_counts = snapshot.key_counts if request.extensions.e2ee else base.key_counts
        place = Place(number, now, selection, request.extensions, key_counts)
        has_news = bool(told.results) or news.is_worth_telling
        return Made(selection.counts, told.results, news.answers, place, told.delta, has_news)

    async def _account_data(self, user_id: str, since: StreamToken | None, now: StreamToken) -> AccountDataEvents:
        if since is None:
            everything = await self.streams.account_data.everything(user_id)
            self.marks.learn(user_id, everything, now.account_data)
            return everything
        if since.account_data >= now.account_data:
            return AccountDataEvents()
        return await self.streams.account_data.changed(user_id, since.account_data, now.account_data)

    async def _changes(self, user_id: str, since: StreamToken | None, snapshot: Snapshot) -> RoomChanges:
        now = snapshot.now.events
        if since is None:
            return RoomChanges(now, now, by_room={})
        return await self.changes.between(user_id, snapshot.rooms, since.events, now)

    async def _own_receipts(self, request: SlidingRequest, start: From, now: StreamToken) -> Collection[str]:
        """Rooms in which the reader's own receipts have changed what is unread."""
        since, rooms = start.token, start.selection.relevant
        if not request.wants_counts or not rooms or since is None or since.receipts >= now.receipts:
            return ()
        changed = await self.streams.receipts.changed(request.user_id, rooms.keys(), since.receipts, now.receipts)
        return {room_id for room_id, content in changed.items() if _is_of(request.user_id, content)}


def _may_select_otherwise(
    request: SlidingRequest,
    start: From,
    changes: RoomChanges,
    account_data: AccountDataEvents,
    own_receipts: Collection[str],
) -> bool:
    """Whether there may be anything to tell of rooms. Where nothing happened in any of the reader's, there is not."""
    return bool(
        start.token is None
        or changes.rooms
        or changes.own
        or own_receipts
        or account_data.everywhere
        or account_data.by_room
        or request.rules != start.selection.rules
    )


def _is_of(user_id: str, receipts: Mapping[str, Any]) -> bool:
    return any(user_id in users for kinds in receipts.values() for users in kinds.values())
