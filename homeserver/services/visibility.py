"""Who may read a room, and which of its events (client-server API, "Room History Visibility").

Whoever has been in the room since before the events in question sees them by rule 2, and memory knows that: a waiting
sync and a page of recent history ask the database nothing. All other readers cost one statement, whatever the number
of rooms.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson

from homeserver.protocol.errors import Forbidden
from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.visibility import (
    EVERYTHING,
    FIRST_POSITION,
    SHARED,
    WORLD_READABLE,
    Change,
    ReadableHistory,
    readable_history,
    visibility_of,
)
from homeserver.services.awake import AwakeUsers
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.unsigned import replaced_membership, replaced_nothing
from homeserver.storage.room_history import RoomHistory
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

VISIBILITY = "m.room.history_visibility"
NOT_IN_ROOM = "You are not a member of this room"


class RoomName(Protocol):
    """A room by id and number, in memory or not."""

    @property
    def room_id(self) -> str: ...
    @property
    def room_nid(self) -> int: ...


class VersionedRoom(Protocol):
    """A room by id and version, in memory or not."""

    @property
    def room_id(self) -> str: ...
    @property
    def version(self) -> RoomVersion: ...


class Seen(NamedTuple):
    """An event as the reader sees it, and his own membership when it was sent."""

    event: TimelineEvent
    membership: str


@dataclass(frozen=True, slots=True)
class Perspective:
    """One reader's view of one room: the positions he sees, and what he was there."""

    history: ReadableHistory
    memberships: tuple[Change, ...]

    def membership_at(self, position: int) -> str:
        """ "Including any changes caused by the event"; "leave" before the first."""
        index = bisect_right(self.memberships, position, key=lambda change: change[0]) - 1
        return self.memberships[index][1] if index >= 0 else "leave"

    @property
    def left_at(self) -> int | None:
        """The position of the event that ended the reader's last stay; None where he never joined or is there."""
        ended = None
        joined = False
        for position, membership in self.memberships:
            if joined and membership != "join":
                ended = position
            joined = membership == "join"
        return None if joined else ended


THERE_ALL_THE_TIME = Perspective(EVERYTHING, ((FIRST_POSITION, "join"),))


@dataclass(frozen=True, slots=True)
class ReadAccess:
    """Why somebody may read a room. One of the first two is set, or he is a peeker (`world_readable` alone)."""

    joined: bool = False
    left_at: int | None = None
    """Former members see state as it was after the event at this position: the one that ended their stay."""
    world_readable: bool = False
    perspective: Perspective | None = None
    """The whole view, where it was needed to decide."""


def is_world_readable(room: LiveRoom) -> bool:
    """Whether events sent now can be read by everybody."""
    return _visibility_now(room) == WORLD_READABLE


def joined_since(room: LiveRoom, user_id: str, position: int) -> bool:
    """Whether memory is sure that the user has been in the room at and ever since this position."""
    if user_id not in room.joined:
        return False
    member = room.state.get("m.room.member", user_id)
    if member is not None and member.position <= position:
        return True
    newer = room.changes_since(position)
    if newer is None:
        return False
    changes = [event for event in newer if _is_member(event, user_id)]
    return bool(changes) and all(
        event.membership == "join" and replaced_membership(event) == "join" for event in changes
    )


def known_perspective(room: LiveRoom, user_id: str, oldest: int) -> Perspective | None:
    """The reader's view from position ``oldest`` on as far as memory is sure of it."""
    if joined_since(room, user_id, oldest):
        return THERE_ALL_THE_TIME
    member = room.state.get("m.room.member", user_id)
    if (
        user_id in room.joined
        and member is not None
        and replaced_nothing(member, room.emptied)
        and never_hid_anything(room)
    ):
        return Perspective(EVERYTHING, ((member.position, "join"),))
    return None


def never_hid_anything(room: LiveRoom) -> bool:
    """Whether memory is sure that the room always showed its whole history to members."""
    event = room.state.get(VISIBILITY)
    if event is None:
        return (VISIBILITY, "") not in room.emptied
    # Before the first visibility `shared` is assumed.
    return _visibility_now(room) in (SHARED, WORLD_READABLE) and replaced_nothing(event, room.emptied)


class Sight(Protocol):
    """What a reader may see of rooms: `Visibility`, but for administrators."""

    async def check_can_read(self, room: LiveRoom, user_id: str) -> ReadAccess: ...

    async def perspective(self, room: LiveRoom, user_id: str, oldest: int = FIRST_POSITION) -> Perspective: ...

    async def see(
        self, room: LiveRoom, user_id: str, events: Sequence[TimelineEvent], perspective: Perspective | None = None
    ) -> list[Seen]: ...


@dataclass(frozen=True, slots=True)
class Visibility:
    """Answers for one reader at a time."""

    queries: Queries
    history: RoomHistory
    users: Users
    awake: AwakeUsers
    server_name: str

    async def check_can_read(self, room: LiveRoom, user_id: str) -> ReadAccess:
        """Why this user may read the room. Raises Forbidden.

        "In all cases except `world_readable`, a user needs to join a room to view events in that room"; who has left
        keeps what he could see, until he forgets the room.
        """
        if user_id in room.joined:
            return ReadAccess(joined=True, world_readable=is_world_readable(room))
        world_readable = is_world_readable(room)
        known = (await self.awake.memberships(user_id)).get(room.room_id)
        if known is not None and not known.forgotten:
            perspective = await self.perspective(room, user_id)
            if perspective.left_at is not None:
                return ReadAccess(False, perspective.left_at, world_readable, perspective)
        if not world_readable:
            raise Forbidden(NOT_IN_ROOM)
        return ReadAccess(world_readable=True)

    async def perspective(self, room: LiveRoom, user_id: str, oldest: int = FIRST_POSITION) -> Perspective:
        """The reader's view of the room's events from position ``oldest`` on."""
        return (await self.perspectives(user_id, [(room, oldest)]))[room.room_id]

    async def perspectives(self, user_id: str, rooms: Sequence[tuple[LiveRoom, int]]) -> dict[str, Perspective]:
        """The reader's view of several rooms, each from its own oldest position on, by room id."""
        known = {room.room_id: known_perspective(room, user_id, oldest) for room, oldest in rooms}
        found = {room_id: perspective for room_id, perspective in known.items() if perspective is not None}
        unsure = [room for room, _ in rooms if room.room_id not in found]
        return found | await self.read_perspectives(user_id, unsure) if unsure else found

    async def read_perspectives(self, user_id: str, rooms: Sequence[RoomName]) -> dict[str, Perspective]:
        """The reader's view of these rooms from the database, whether they are in memory or not, by room id."""
        visibilities: dict[int, list[Change]] = {room.room_nid: [] for room in rooms}
        memberships: dict[int, list[Change]] = {room.room_nid: [] for room in rooms}
        for room_nid, event_type, position, body in await self.history.reader_changes(
            self.queries, list(visibilities), user_id
        ):
            # No body: resolution left the key empty.
            content = {} if body is None else orjson.loads(body)["content"]
            if event_type == VISIBILITY:
                visibilities[room_nid].append((position, visibility_of(content)))
            else:
                memberships[room_nid].append((position, str(content.get("membership", "leave"))))
        return {
            room.room_id: _perspective(visibilities[room.room_nid], memberships[room.room_nid]) for room in rooms
        }  # fmt: skip

    async def filter(self, room: LiveRoom, user_id: str, events: Sequence[TimelineEvent]) -> list[TimelineEvent]:
        """The events that this reader may see, in the same order; those of erased users as `see` says."""
        return [seen.event for seen in await self.see(room, user_id, events)]

    async def see(
        self, room: LiveRoom, user_id: str, events: Sequence[TimelineEvent], perspective: Perspective | None = None
    ) -> list[Seen]:
        """The events of one room that this reader may see. `perspective`: where the caller has it already."""
        known = None if perspective is None else {room.room_id: perspective}
        return (await self.see_rooms(user_id, [(room, events)], known))[room.room_id]

    async def see_rooms(
        self,
        user_id: str,
        pages: Sequence[tuple[LiveRoom, Sequence[TimelineEvent]]],
        perspectives: Mapping[str, Perspective] | None = None,
    ) -> dict[str, list[Seen]]:
        """What this reader may see of several rooms' events, by room id.

        Events of users who erased themselves are redacted for readers who were not in the room then: none but who
        got an event when it was sent is to have it.
        """
        if perspectives is None:
            oldest = [(room, min((e.position for e in events), default=FIRST_POSITION)) for room, events in pages]
            perspectives = await self.perspectives(
                user_id, [one for one, page in zip(oldest, pages, strict=True) if page[1]]
            )
        return await self.seen_through(user_id, pages, perspectives)

    async def seen_through(
        self,
        user_id: str,
        pages: Sequence[tuple[VersionedRoom, Sequence[TimelineEvent]]],
        perspectives: Mapping[str, Perspective],
    ) -> dict[str, list[Seen]]:
        """The same of rooms that need not be in memory, where the reader's views are known."""
        seen = {
            room.room_id: [
                Seen(event, perspectives[room.room_id].membership_at(event.position))
                for event in events
                if perspectives[room.room_id].history.allows(event.position)
            ]
            for room, events in pages
        }
        return await self._without_erased(user_id, pages, seen)

    async def _without_erased(
        self, user_id: str, pages: Sequence[tuple[VersionedRoom, Sequence[TimelineEvent]]], seen: dict[str, list[Seen]]
    ) -> dict[str, list[Seen]]:
        ours = ":" + self.server_name
        senders = {
            event.sender
            for page in seen.values()
            for event, membership in page
            if membership != "join" and event.sender != user_id and event.sender.endswith(ours)
        }
        erased = set(await self.users.erased_among(self.queries, list(senders))) if senders else set()
        if not erased:
            return seen
        return {
            room.room_id: [
                Seen(redacted_copy(each.event, room.version), each.membership)
                if each.membership != "join" and each.event.sender in erased
                else each
                for each in seen[room.room_id]
            ]
            for room, _ in pages
        }


def _visibility_now(room: LiveRoom) -> str:
    event = room.state.get(VISIBILITY)
    return visibility_of(None if event is None else event.content)


def _is_member(event: TimelineEvent, user_id: str) -> bool:
    return event.type == "m.room.member" and event.state_key == user_id


def _perspective(visibilities: Sequence[Change], memberships: Sequence[Change]) -> Perspective:
    return Perspective(readable_history(visibilities, _until_last_stay_ended(memberships)), tuple(memberships))


def _until_last_stay_ended(memberships: Sequence[Change]) -> Sequence[Change]:
    """ "A user needs to join a room to view events in that room": an invitation opens nothing before it is accepted."""
    last_join = max((index for index, (_, membership) in enumerate(memberships) if membership == "join"), default=-2)
    return memberships[: last_join + 2]


def redacted_copy(event: TimelineEvent, version: RoomVersion) -> TimelineEvent:
    """The event as those see it who are not to have an erased user's words."""
    body = redact(orjson.loads(event.body), version)
    return event.with_form(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), None, event.flags)
