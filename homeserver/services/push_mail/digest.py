"""What one user has not read and has not been told of, by room, and of which rooms it is time to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from homeserver.protocol.push_rules.default_rules import ENCRYPTED_EVENT
from homeserver.services.push_mail.due import DELAY_MS
from homeserver.services.push_rules.rulesets import Compiler, ReaderRules
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.storage.mailed_rooms import MailedRoom

if TYPE_CHECKING:
    from homeserver.services.account_data.ignored import IgnoredUsers
    from homeserver.services.clock import Clock
    from homeserver.services.push.past_actions import PastActions
    from homeserver.services.push.reader_rooms import FindNotifyingRooms
    from homeserver.services.push_rules.rulesets import Rulesets
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.unread.loudness import Loudness
    from homeserver.services.unread.own_reads import OwnReads
    from homeserver.storage.database import Queries
    from homeserver.storage.mailed_rooms import MailedRoomRows
    from homeserver.storage.memberships import Membership
    from homeserver.storage.notifications import NotificationRows
    from homeserver.storage.pushers import Pusher

MAX_PAUSE_MS: Final = 24 * 3600_000
MAX_UNREAD: Final = 200
EVENTS_A_ROOM: Final = 200
NEWEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class UnreadRoom:
    """Events that the user has not been told of, oldest first, and what will have been told with them."""

    room_id: str
    events: Sequence[TimelineEvent]
    told: MailedRoom


@dataclass(frozen=True, slots=True)
class Digest:
    """`rooms`: to be told of now; `next_ms`: when others are, None where there are none."""

    rooms: Sequence[UnreadRoom]
    next_ms: int | None


@dataclass(frozen=True, slots=True)
class MakeDigest:
    """One verb; a constant number of statements."""

    queries: Queries
    notifications: NotificationRows
    mailed: MailedRoomRows
    rooms: FindNotifyingRooms
    rulesets: Rulesets
    loudness: Loudness
    ignored: IgnoredUsers
    own_reads: OwnReads
    past: PastActions
    clock: Clock
    compiler: Compiler = field(default_factory=Compiler)

    async def __call__(self, pusher: Pusher) -> Digest:
        """Of the pusher's user."""
        user_id = pusher.user_id
        rooms = await self.rooms.of_user(user_id)
        await self.own_reads.flush_user(user_id)
        mailed = await self.mailed.of_pusher(self.queries, pusher.pusher_nid, user_id)
        unread = await self._unread(user_id, rooms, mailed, pusher.behind or 0)
        return self._ready(unread, rooms, mailed)

    async def _unread(
        self, user_id: str, rooms: Mapping[str, Membership], mailed: Mapping[int, MailedRoom], start: int
    ) -> dict[str, list[TimelineEvent]]:
        """`start`: what came before the pusher was set is none of its concern."""
        loud = await self._loud(user_id, rooms)
        records = await self.notifications.page(
            self.queries,
            user_id,
            [(each.room_nid, room_id in loud) for room_id, each in rooms.items()],
            before=NEWEST,
            after=max(self.past.oldest, start),
            ignored=await self.ignored.of_user(user_id),
            events_a_room=EVENTS_A_ROOM,
            limit=MAX_UNREAD,
            highlights=False,
        )
        unread: dict[str, list[TimelineEvent]] = {}
        for record in reversed(records):
            if record["event_nid"] is None or record["read"]:
                continue
            known = mailed.get(record["room_nid"])
            if record["room_id"] in rooms and (known is None or record["position"] > known.position):
                unread.setdefault(record["room_id"], []).append(to_timeline_event(record, record["room_id"]))
        return unread

    async def _loud(self, user_id: str, rooms: Mapping[str, Membership]) -> set[str]:
        """Rooms in which plain messages notify, all events being encrypted left aside: see MSC4028, "Email notifications"."""
        nids = {room_id: each.room_nid for room_id, each in rooms.items() if each.membership == "join"}
        rules = (await self.rulesets.of_users([user_id])).get(user_id)
        if rules is None:
            return set(nids)
        changed = rules.customisation
        off = {**changed.enabled, ("override", ENCRYPTED_EVENT): False}
        for_mail = ReaderRules(replace(changed, enabled=off), self.compiler)
        kinds = await self.loudness.kinds(nids)
        return {room_id for room_id, kind in kinds.items() if for_mail.in_room(room_id).loud(kind)}

    def _ready(
        self,
        unread: Mapping[str, list[TimelineEvent]],
        rooms: Mapping[str, Membership],
        mailed: Mapping[int, MailedRoom],
    ) -> Digest:
        now_ms = self.clock.now_ms()
        # Whatever happens in however many rooms: who makes new ones and invites fills nobody's mailbox.
        quiet_until_ms = max((each.mailed_ms + DELAY_MS for each in mailed.values()), default=0)
        ready: list[UnreadRoom] = []
        later: list[int] = []
        for room_id, events in unread.items():
            before = mailed.get(rooms[room_id].room_nid)
            due_ms = max(_due_ms(events, before, now_ms), quiet_until_ms)
            if due_ms > now_ms:
                later.append(due_ms)
            else:
                told = MailedRoom(rooms[room_id].room_nid, events[-1].position, now_ms, _pause_ms(before))
                ready.append(UnreadRoom(room_id, events, told))
        return Digest(ready, min(later, default=None))


def _due_ms(events: Sequence[TimelineEvent], before: MailedRoom | None, now_ms: int) -> int:
    """Ten minutes after the first of them, and not while the room is silent after an earlier mail that was not looked at."""
    sent_ms = events[0].origin_server_ts
    # Its server has said when it was sent: a time to come would keep all that follows in the room from ever being told.
    due_ms = sent_ms + DELAY_MS if sent_ms <= now_ms else now_ms
    return due_ms if before is None or before.read else max(due_ms, before.mailed_ms + before.pause_ms)


def _pause_ms(before: MailedRoom | None) -> int:
    """Twice as long each time, until the room is read."""
    return DELAY_MS if before is None or before.read else min(2 * before.pause_ms, MAX_PAUSE_MS)
