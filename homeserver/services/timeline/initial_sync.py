"""GET /rooms/{roomId}/initialSync: a first look at a room, "exclusively [...] for peeking into viewable rooms"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.services.requester import Requester
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.sources import AccountDataSource, PresenceSource, ReceiptSource
from homeserver.services.timeline.messages import MessagesPage, MessagesQuery, ReadMessages
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.past_state import PastState
from homeserver.services.timeline.presentation import Presenter
from homeserver.storage.room_directory import RoomDirectoryRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NEWEST_EVENTS = 20


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Parts in JSON; `messages` newest first, as they were read."""

    membership: str | None
    """None for peekers, who never were members."""
    messages: MessagesPage
    state: list[bytes]
    is_published: bool
    account_data: Sequence[bytes]
    presence: Sequence[Mapping[str, Any]]
    receipts: Mapping[str, Any] | None
    """The content of an `m.receipt` event."""


@dataclass(frozen=True, slots=True)
class ReadFirstLook:
    """One verb."""

    queries: Queries
    opener: RoomOpener
    messages: ReadMessages
    past: PastState
    presenter: Presenter
    directory: RoomDirectoryRows
    account_data: AccountDataSource
    presence: PresenceSource
    receipts: ReceiptSource

    async def __call__(self, reader: Requester, room_id: str, limit: int = NEWEST_EVENTS) -> FirstLook:
        """The room as this reader may see it. Raises Forbidden."""
        room, access = await self.opener.access(room_id, reader.user_id)
        own = await self.past.one(room, access.left_at, "m.room.member", reader.user_id)
        account_data = await self.account_data.everything(reader.user_id)
        presence: Sequence[Mapping[str, Any]] = ()
        receipts: Mapping[str, Mapping[str, Any]] = {}
        if access.joined or access.world_readable:
            presence = await self.presence.of_users(room.joined)
            receipts = await self.receipts.everything(reader.user_id, (room_id,))
        return FirstLook(
            membership=None if own is None else own.membership,
            messages=await self.messages(reader, room_id, MessagesQuery(backwards=True, limit=limit)),
            state=self._state_in_old_form(room_id, await self.past.everything(room, access.left_at)),
            is_published=bool(await self.directory.is_published(self.queries, room_id)),
            account_data=account_data.by_room.get(room_id, ()),
            presence=presence,
            receipts=receipts.get(room_id),
        )

    def _state_in_old_form(self, room_id: str, events: Sequence[TimelineEvent]) -> list[bytes]:
        """With `user_id`, which is where clients of before /sync look for the sender."""
        shown = self.presenter.show_state(room_id, events)
        return [
            b'{"user_id":%b,%b' % (orjson.dumps(event.sender), body[1:])
            for event, body in zip(events, shown, strict=True)
        ]
