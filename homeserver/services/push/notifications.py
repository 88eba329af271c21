"""GET /notifications: "events that the user has been, or would have been notified about"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.protocol import errors
from homeserver.protocol.push_rules import Action, EventFacts, ReaderFacts, RoomFacts
from homeserver.services.push_rules.rulesets import DEFAULT_RULES
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import OUTLIER

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.services.clock import Clock
    from homeserver.services.push.past_actions import PastActions
    from homeserver.services.push.reader_rooms import FindReaderRooms, ReaderRooms
    from homeserver.services.push_rules.rulesets import ReaderRules, RoomKind, Rulesets
    from homeserver.services.requester import Requester
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.unread.loudness import Loudness
    from homeserver.services.unread.own_reads import OwnReads
    from homeserver.services.visibility import Perspective, Visibility
    from homeserver.storage.database import Queries
    from homeserver.storage.notifications import NotificationRows

HIGHLIGHT: Final = "highlight"
DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
MAX_LOOKED_AT: Final = 20_000
"""Events of all rooms together for one page; what is older comes with the next one."""
MIN_LOOKED_AT: Final = 50
NEWEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Notified:
    """One event. `event`: its client JSON."""

    room_id: str
    event: bytes
    actions: Sequence[Any]
    read: bool
    ts: int


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """`next_token`: None where there are no more."""

    notifications: Sequence[Notified]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Notifications:
    """One verb; a constant number of statements."""

    queries: Queries
    rows: NotificationRows
    rooms: FindReaderRooms
    loudness: Loudness
    rulesets: Rulesets
    own_reads: OwnReads
    visibility: Visibility
    past: PastActions
    clock: Clock

    async def page(self, requester: Requester, token: str | None, limit: int, only: str | None) -> NotificationPage:
        """The newest before `token`. Raises InvalidParam."""
        before, user_id = _position(token), requester.user_id
        rooms = await self.rooms.of_user(user_id)
        await self.own_reads.flush_user(user_id)
        records = await self.rows.page(
            self.queries,
            user_id,
            rooms.as_rows(),
            before=before,
            after=self.past.oldest,
            ignored=rooms.ignored,
            events_a_room=max(MIN_LOOKED_AT, MAX_LOOKED_AT // max(1, len(rooms.rooms))),
            limit=limit,
            highlights=only == HIGHLIGHT,
        )
        found = [record for record in records if record["event_nid"] is not None]
        shown = await self._shown(requester, rooms, found)
        return NotificationPage(shown, self._next_token(found, limit, records[0]["horizon"]))

    def _next_token(self, found: Sequence[Record], limit: int, horizon: int) -> str | None:
        if len(found) >= limit:
            return str(found[-1]["position"])
        return str(horizon) if horizon > self.past.oldest else None

    async def _shown(self, requester: Requester, rooms: ReaderRooms, records: Sequence[Record]) -> list[Notified]:
        events = [to_timeline_event(record, record["room_id"]) for record in records]
        places = {event.room_id: rooms.rooms[event.room_id] for event in events if event.room_id in rooms.rooms}
        perspectives = await self.visibility.read_perspectives(requester.user_id, list(places.values()))
        kinds = await self.loudness.kinds({room_id: each.room_nid for room_id, each in places.items()})
        rules = (await self.rulesets.of_users([requester.user_id])).get(requester.user_id, DEFAULT_RULES)
        now_ms = self.clock.now_ms()
        shown: list[Notified] = []
        for event, record in zip(events, records, strict=True):
            membership = _membership_then(perspectives.get(event.room_id), event, requester.user_id)
            kind = kinds.get(event.room_id)
            action = _action(rules, kind, event, requester.user_id, highlight=record["highlight"])
            # Of rooms outside all invitations are found, also those that he does not see.
            if event.room_id in places and membership in ("join", "invite") and action.notify:
                body = render_event(event, reader=requester, now_ms=now_ms, room_id=None, membership=membership)
                shown.append(Notified(event.room_id, body, action.actions, record["read"], event.origin_server_ts))
        return shown


def _position(token: str | None) -> int:
    if not token:
        return NEWEST
    if not (token.isascii() and token.isdigit()) or len(token) > 18:
        raise errors.InvalidParam("'from' must be the 'next_token' of an earlier page")
    return int(token)


def _membership_then(perspective: Perspective | None, event: TimelineEvent, user_id: str) -> str:
    """What the reader was when the event came: he was notified as a member, or as the one who is invited by it."""
    if event.type == "m.room.member" and event.state_key == user_id:
        return event.membership or "leave"
    return perspective.membership_at(event.position) if perspective is not None else "leave"


def _action(
    rules: ReaderRules, kind: RoomKind | None, event: TimelineEvent, user_id: str, *, highlight: bool
) -> Action:
    """What the reader's rules of now do, where that is what happened then; else the least that did. `kind`: None for rooms
    that this server is not in.
    """
    # Who sent it had the power that it took, where there was a highlight.
    facts = EventFacts(
        orjson.loads(event.body),
        RoomFacts(kind.members if kind is not None else 0, math.inf if highlight else 0),
        room_id=event.room_id,
    )
    action = rules.in_room(event.room_id).evaluator.decide(facts).for_reader(ReaderFacts(user_id))
    if (action.notify, action.highlight) == (True, highlight) or event.flags & OUTLIER:
        return action
    return Action(True, highlight, None, ("notify", {"set_tweak": HIGHLIGHT}) if highlight else ("notify",))
