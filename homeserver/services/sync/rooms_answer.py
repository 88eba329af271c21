"""The `rooms` section: windows, ephemeral events, account data and unread counts as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.protocol.filters import RoomEventFilter
from homeserver.protocol.sticky import STICKY_KEY
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.ephemeral import EphemeralEvents
from homeserver.services.sync.request import SyncRequest
from homeserver.services.sync.sources import Counts, UnreadCounts
from homeserver.services.sync.summary import Summary
from homeserver.services.sync.window import Window
from homeserver.services.tokens import format_timeline_token

NOTHING_UNREAD = UnreadCounts()


@dataclass(slots=True)
class RoomsAnswer:
    """Rooms of one answer, by how the reader stands to them; kinds without rooms stay away."""

    join: dict[str, dict[str, Any]] = field(default_factory=dict)
    invite: dict[str, dict[str, Any]] = field(default_factory=dict)
    knock: dict[str, dict[str, Any]] = field(default_factory=dict)
    leave: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        kinds = {"join": self.join, "invite": self.invite, "knock": self.knock, "leave": self.leave}
        return {kind: rooms for kind, rooms in kinds.items() if rooms}


@dataclass(slots=True)
class RoomsEncoder:
    """For one request."""

    request: SyncRequest
    events: Encoder
    summaries: Mapping[str, Summary]
    ephemeral: EphemeralEvents
    account_data: Mapping[str, Sequence[bytes]]

    def is_worth_telling(self, window: Window) -> bool:
        """Whether a joined room has anything that the filter lets through."""
        room_id = window.room_id
        return bool(
            window.full
            or window.events
            or window.state
            or window.sticky
            or window.limited
            or room_id in self.ephemeral.by_room
            or room_id in self.ephemeral.own_receipts
            or room_id in self.account_data
        )

    def joined(self, window: Window, unread: UnreadCounts) -> dict[str, Any]:
        """One room of `rooms.join`."""
        room = self._timeline_and_state(window)
        room["ephemeral"] = {"events": self.ephemeral.by_room.get(window.room_id, [])}
        if window.sticky:
            room[STICKY_KEY] = {"events": self.events.events(window, window.sticky)}
        summary = self.summaries.get(window.room_id)
        if summary is not None:
            room["summary"] = summary.as_json()
        room.update(unread_json(unread, by_thread=self.request.filter.room.timeline.unread_thread_notifications))
        return room

    def left(self, window: Window) -> dict[str, Any]:
        """One room of `rooms.leave`."""
        return self._timeline_and_state(window)

    def _timeline_and_state(self, window: Window) -> dict[str, Any]:
        """Empty lists are sent too: old clients read them without asking whether they are there."""
        room: dict[str, Any] = {
            "timeline": {
                "events": self.events.events(window, window.events),
                "limited": window.limited,
                "prev_batch": format_timeline_token(window.prev_batch),
            }
        }
        if self.request.state_after:
            # "Required if use_state_after was set to true in the request, even if it is empty."
            state = {"events": self.events.events(window, window.state)}
            for key in self.request.state_after:
                room[key] = state
        else:
            room["state"] = {"events": self.events.events(window, window.state)}
        account_data = self.account_data.get(window.room_id, ())
        room["account_data"] = {"events": [orjson.Fragment(event) for event in account_data]}
        return room


def wanted_account_data(
    by_room: Mapping[str, Sequence[bytes]], wanted: RoomEventFilter
) -> Mapping[str, Sequence[bytes]]:  # fmt: skip
    """Room account data that the filter lets through."""
    if wanted.types.is_open and wanted.rooms.is_open:
        return by_room
    kept = {
        room_id: [event for event in events if wanted.types.includes(orjson.loads(event)["type"])]
        for room_id, events in by_room.items()
        if wanted.rooms.includes(room_id)
    }
    return {room_id: events for room_id, events in kept.items() if events}


def unread_json(unread: UnreadCounts, *, by_thread: bool) -> dict[str, Any]:
    """The keys of a joined room that tell what is unread: in all of it, or in each thread."""
    room: dict[str, Any] = {"unread_notifications": _counts(unread.main if by_thread else unread.total)}
    if by_thread and unread.threads:
        room["unread_thread_notifications"] = {root: _counts(each) for root, each in unread.threads.items()}
    return room


def _counts(counts: Counts) -> dict[str, int]:
    return {"highlight_count": counts.highlights, "notification_count": counts.notifications}
