"""Events as JSON for one reader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.clock import Clock
from homeserver.services.relations.aggregations import BundledAggregations, Shown, has_relations, with_relations
from homeserver.services.requester import Requester
from homeserver.services.rooms.rendering import render_event, render_state
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.transactions import DELAYED, KEPT_MS
from homeserver.services.timeline.open_room import OpenRoom
from homeserver.services.visibility import Seen
from homeserver.storage.event_transactions import EventTransactions

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

IgnoredUsers = Callable[[str], Awaitable[Collection[str]]]
"""Whose messages a user does not want, from `m.ignored_user_list`."""


@dataclass(frozen=True, slots=True)
class Presenter:
    """The last step of everything that shows events."""

    queries: Queries
    transactions: EventTransactions
    clock: Clock
    bundled: BundledAggregations
    ignored: IgnoredUsers

    async def show(
        self, reader: Requester, room_id: str | None, seen: Sequence[Seen], opened: OpenRoom | None = None
    ) -> list[bytes]:
        """The events' JSON, in the same order; `room_id` None for /sync. `opened`: with what relates to them in this room."""
        events = [each.event for each in seen]
        await self.recall_transactions(reader, events)
        relations = {} if opened is None else await self.relations(reader, [opened.shown(reader.user_id, events)])
        now_ms = self.clock.now_ms()
        return [
            with_relations(
                render_event(event, reader=reader, now_ms=now_ms, room_id=room_id, membership=membership),
                relations.get(event.event_id),
            )
            for event, membership in seen
        ]

    async def relations(self, reader: Requester, pages: Sequence[Shown]) -> Mapping[str, bytes]:
        """`m.relations` in JSON, by event id, for answers whose events say their rooms."""
        if not any(has_relations(event) for page in pages for event in page.events):
            return {}
        return await self.bundled.of(reader, pages, await self.ignored(reader.user_id))

    def show_state(self, room_id: str, events: Iterable[TimelineEvent]) -> list[bytes]:
        """State events' JSON, the same for every reader."""
        return render_state(events, now_ms=self.clock.now_ms(), room_id=room_id)

    async def recall_transactions(self, reader: Requester, events: Iterable[TimelineEvent]) -> None:
        """Events that this device sent recently, and that memory knows only from the database, get their
        transaction ids back. One statement, and only where there are such events.
        """
        since_ms = self.clock.now_ms() - KEPT_MS
        own = {
            event.event_nid: event
            for event in events
            if event.sender == reader.user_id
            and event.txn is None
            and event.state_key is None
            and event.origin_server_ts >= since_ms
        }
        if not own or reader.device_id is None:
            return
        keys = await self.transactions.of_events(self.queries, reader.user_id, reader.device_id, list(own))
        for event_nid, key in keys.items():
            if key.startswith(DELAYED):
                own[event_nid].txn = (reader.user_id, None, key.removeprefix(DELAYED))
                continue
            transaction_id = transaction_id_of(key, own[event_nid])
            if transaction_id is not None:
                own[event_nid].txn = (reader.user_id, reader.device_id, transaction_id)


def transaction_id_of(key: str, event: TimelineEvent) -> str | None:
    """The client's part of a transaction's key, which begins with the endpoint (services/rooms/send_event.py)."""
    sent = f"send {event.room_id} {event.type} "
    if key.startswith(sent):
        return key.removeprefix(sent)
    redacted = f"redact {event.room_id} "
    if key.startswith(redacted):
        return key.removeprefix(redacted).partition(" ")[2] or None
    return None
