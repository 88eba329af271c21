"""What lists are sorted and filtered by: when something last happened in each room, and what kind of room it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson

from homeserver.protocol.content import text_of
from homeserver.services.announcer import Resolved
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.sliding_rooms import FactsRow, SlidingRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# '"Proper" activity is defined as an event being received is one of the following types'
BUMP_TYPES = frozenset(
    (
        "m.room.create",
        "m.room.message",
        "m.room.encrypted",
        "m.sticker",
        "m.call.invite",
        "m.poll.start",
        "org.matrix.msc3381.poll.start",
        "m.beacon_info",
        "org.matrix.msc3672.beacon_info",
    )
)
# Some 300 bytes each; of names so much is kept and looked through ("The name [...] SHOULD NOT exceed 255 bytes").
MAX_ROOMS = 100_000
MAX_TEXT_CHARACTERS = 255


class RoomName(Protocol):
    """A room by id and number."""

    @property
    def room_id(self) -> str: ...
    @property
    def room_nid(self) -> int: ...


@dataclass(slots=True)
class Facts:
    """Of one room. `latest`: position of the last change; `bump`: of the last event of BUMP_TYPES, None: not known."""

    latest: int = 0
    encrypted: bool = False
    room_type: str | None = None
    name: str | None = None
    bump: int | None = None

    def follow(self, event: TimelineEvent) -> None:
        """A committed event."""
        self.latest = max(self.latest, event.position)
        if event.type in BUMP_TYPES:
            self.bump = max(self.bump or 0, event.position)
        if event.takes_force:
            self.follow_state(event)

    def follow_state(self, event: TimelineEvent) -> None:
        """An entry of the state came into force."""
        self.latest = max(self.latest, event.position)
        if event.state_key != "":
            return
        if event.type == "m.room.name":
            self.name = short_text_of(event.content, "name")
        elif event.type == "m.room.encryption":
            self.encrypted = True
        elif event.type == "m.room.create":
            self.room_type = short_text_of(event.content, "type")

    def follow_deletion(self, event_type: str, state_key: str) -> None:
        """An entry of the state went."""
        if state_key == "" and event_type == "m.room.name":
            self.name = None
        elif state_key == "" and event_type == "m.room.encryption":
            self.encrypted = False


Change = TimelineEvent | Resolved


@dataclass(slots=True)
class RoomFacts:
    """Bounded, kept current by the announcer; the room that was loaded first is forgotten first."""

    queries: Queries
    rows: SlidingRooms
    cache: RoomCache
    capacity: int = MAX_ROOMS
    _facts: dict[str, Facts] = field(default_factory=dict)
    # What commits while a statement is under way is applied to its answer: one list for each.
    _missed: list[list[Change]] = field(default_factory=list)

    async def of_rooms(self, rooms: Iterable[RoomName]) -> Mapping[str, Facts]:
        """Facts by room id; one statement for all rooms that are not in memory."""
        found, missing = dict[str, Facts](), list[RoomName]()
        for room in rooms:
            facts = self._facts.get(room.room_id)
            if facts is None:
                missing.append(room)
            else:
                found[room.room_id] = facts
        return found | await self._load(missing) if missing else found

    async def _load(self, rooms: Sequence[RoomName]) -> dict[str, Facts]:
        missed: list[Change] = []
        self._missed.append(missed)
        try:
            rows = await self.rows.facts(self.queries, [room.room_nid for room in rooms])
        finally:
            self._missed = [each for each in self._missed if each is not missed]
        room_ids = {room.room_nid: room.room_id for room in rooms}
        loaded = {room_ids[row.room_nid]: _from_row(row) for row in rows}
        for change in missed:
            _follow(loaded, change)
        # Another statement may have been faster: one value a room, so that it is followed.
        found = {room_id: self._facts.setdefault(room_id, facts) for room_id, facts in loaded.items()}
        while len(self._facts) > self.capacity:
            del self._facts[next(iter(self._facts))]
        return found

    async def bumps(self, rooms: Sequence[RoomName], facts: Mapping[str, Facts]) -> dict[str, int | None]:
        """`bump_stamp` by room id, None where there is none; at most one statement."""
        cold = []
        for room in rooms:
            known = facts[room.room_id]
            if known.bump is None:
                known.bump = self._bump_in_memory(room.room_id)
            if known.bump is None:
                cold.append(room)
        if cold:
            found = await self.rows.bumps(self.queries, [room.room_nid for room in cold], BUMP_TYPES)
            for room in cold:
                bump = found.get(room.room_nid)
                known = facts[room.room_id]
                if bump is not None:
                    known.bump = max(known.bump or 0, bump)
        return {room.room_id: facts[room.room_id].bump for room in rooms}

    def _bump_in_memory(self, room_id: str) -> int | None:
        live = self.cache.peek(room_id)
        if live is None:
            return None
        return next((max(0, event.position) for event in reversed(live.recent) if event.type in BUMP_TYPES), None)

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Follow committed events."""
        for event in events:
            self._apply(event)
            if event.type == "m.room.redaction":
                # Perhaps of the name: whoever needs it next reads it again.
                self._facts.pop(event.room_id, None)

    def apply_resolved(self, resolved: Resolved) -> None:
        """Follow changes of the state by resolution."""
        self._apply(resolved)

    def _apply(self, change: Change) -> None:
        _follow(self._facts, change)
        for missed in self._missed:
            missed.append(change)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._facts)}


def _follow(known: Mapping[str, Facts], change: Change) -> None:
    facts = known.get(change.room_id)
    if facts is None:
        return
    if isinstance(change, TimelineEvent):
        facts.follow(change)
        return
    for event in change.came:
        facts.follow_state(event)
    for event_type, state_key in change.went:
        facts.follow_deletion(event_type, state_key)


def _from_row(row: FactsRow) -> Facts:
    return Facts(
        latest=row.latest or 0,
        encrypted=row.encrypted,
        room_type=_text_in(row.create, "type"),
        name=_text_in(row.name, "name"),
    )


def _text_in(body: bytes | None, key: str) -> str | None:
    return None if body is None else short_text_of(orjson.loads(body).get("content"), key)


def short_text_of(content: object, key: str) -> str | None:
    """The beginning of a text: whoever writes long ones takes no more memory than others."""
    text = text_of(content, key)
    return None if text is None else text[:MAX_TEXT_CHARACTERS]
