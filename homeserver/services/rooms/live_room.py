"""A room in memory: its committed state, its newest events, and the tip that the next event is built on.

Two truths live side by side. *Committed* (``state``, ``recent``, ``members``) is what readers see. *Speculative*
(``tip``, ``pending_state``) runs ahead by the events that are built but not yet committed: builders see it, so
that several events of a hot room fit into one commit without waiting for each other. Building never awaits
between reading the tip and moving it, therefore no lock is needed inside a process; the statement that commits
checks the tip's version against other processes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import orjson

from homeserver.protocol.auth import PowerLevels, power_levels_in_room
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.rooms.related_flags import mark_late_parent, mark_parent
from homeserver.services.rooms.timeline_event import RELATED, TimelineEvent
from homeserver.storage.timeline_gaps import Gap

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved

RECENT_EVENTS = 64
# Parsed auth events kept per room: create, power levels, join rules and the members who speak.
PARSED_EVENTS = 128


@dataclass(slots=True)
class RoomTip:
    """Where the next event is attached. Extremities: the newest last."""

    extremities: tuple[str, ...]
    depth: int
    version: int


class Entry(NamedTuple):
    """What the room's state has at a key from `position` on; nothing where `event` is None."""

    key: StateKey
    position: int
    event: TimelineEvent | None


@dataclass(frozen=True, slots=True)
class Consequences:
    """What a committed event of another server changes beside itself.

    `entries`: its own is the last, where it has one. `resolved`: those that are not its own. `whole`: the room with all of
    them, made beforehand where it is large and there was nothing before.
    """

    entries: Sequence[Entry]
    gap: Gap | None = None
    resolved: Resolved | None = None
    whole: LiveRoom | None = None


class CurrentState:
    """Committed state, by type and state key. Positions of its events are those from which they are in force."""

    __slots__ = ("_by_type", "changes", "count", "weight")

    def __init__(self, events: Iterable[TimelineEvent] = ()) -> None:
        self._by_type: dict[str, dict[str, TimelineEvent]] = {}
        self.count = 0
        self.weight = 0
        # Grows with every change: who has read the state knows by it that it is still the same.
        self.changes = 0
        for event in events:
            self.put(event)

    def put(self, event: TimelineEvent) -> TimelineEvent | None:
        """Set a state event; returns the one it replaces."""
        assert event.state_key is not None
        self.changes += 1
        events = self._by_type.setdefault(event.type, {})
        replaced = events.get(event.state_key)
        events[event.state_key] = event
        self.weight += event.weight
        if replaced is None:
            self.count += 1
        else:
            self.weight -= replaced.weight
        return replaced

    def become(self, other: CurrentState) -> None:
        """Have what another one has, which is not used any longer."""
        self._by_type, self.count, self.weight = other._by_type, other.count, other.weight
        self.changes += other.changes

    def take_away(self, key: StateKey) -> TimelineEvent | None:
        """Resolution leaves a key empty; returns what was there."""
        removed = self._by_type.get(key[0], {}).pop(key[1], None)
        if removed is not None:
            self.changes += 1
            self.count -= 1
            self.weight -= removed.weight
        return removed

    def get(self, event_type: str, state_key: str = "") -> TimelineEvent | None:
        events = self._by_type.get(event_type)
        return None if events is None else events.get(state_key)

    def of_type(self, event_type: str) -> dict[str, TimelineEvent]:
        """Events of a type by state key; do not change it."""
        return self._by_type.get(event_type, {})

    def types(self) -> Iterable[str]:
        return self._by_type

    def __iter__(self) -> Iterator[TimelineEvent]:
        for events in self._by_type.values():
            yield from events.values()

    def __len__(self) -> int:
        return self.count


class LiveRoom:
    """One room of the cache. Made by RoomCache (stored rooms) or createRoom (new ones)."""

    __slots__ = (
        "_parsed",
        "_recent_weight",
        "committing",
        "emptied",
        "gaps",
        "invited",
        "joined",
        "joined_local",
        "known_levels",
        "latest",
        "pending",
        "pending_state",
        "recent",
        "recent_complete_after",
        "resolved_at",
        "retired",
        "room_id",
        "room_nid",
        "server_name",
        "servers",
        "state",
        "tip",
        "version",
    )

    def __init__(
        self, *, room_id: str, room_nid: int, version: RoomVersion, server_name: str, tip: RoomTip, state: CurrentState
    ) -> None:
        self.room_id = room_id
        self.room_nid = room_nid
        self.version = version
        self.server_name = server_name
        self.tip = tip
        self.state = state
        # None: the key is being taken away by resolution.
        self.pending_state: dict[tuple[str, str], Event | None] = {}
        self.pending = 0
        self.retired = False
        # Done when the events that were built last are committed.
        self.committing: asyncio.Future[list[TimelineEvent]] | None = None
        # Events of this room with position > recent_complete_after are all in `recent`, oldest first.
        self.recent: deque[TimelineEvent] = deque(maxlen=RECENT_EVENTS)
        self._recent_weight = 0
        self.recent_complete_after = 0
        # The position of the newest event.
        self.latest = 0
        # Up to here entries of the state have come into force (or went) otherwise than by their own events.
        self.resolved_at = -(2**62)
        # Holes of the timeline, oldest first.
        self.gaps: list[Gap] = []
        # Keys that resolution has ever left empty.
        self.emptied: set[StateKey] = set()
        self._parsed: dict[str, Event] = {}
        # (power levels event, create event, what they say): parsed once, read by every send.
        self.known_levels: tuple[Event | None, Event, PowerLevels] | None = None
        self.joined: set[str] = set()
        self.joined_local: set[str] = set()
        self.invited: set[str] = set()
        # How many users of each server have joined.
        self.servers: dict[str, int] = {}
        for member in state.of_type("m.room.member").values():
            self._place_member(member)

    # -- committed ---------------------------------------------------------------------------------

    def membership(self, user_id: str) -> str:
        """The committed membership of a user; "leave" for those who never were members."""
        if user_id in self.joined:
            return "join"
        member = self.state.get("m.room.member", user_id)
        return (member.membership if member is not None else None) or "leave"

    def is_in(self, server_name: str) -> bool:
        """Whether a user of this server has joined."""
        return server_name in self.servers

    def apply(self, event: TimelineEvent, consequences: Consequences | None = None) -> None:
        """Follow one committed event, in order of position; an event already applied changes nothing.

        `consequences`: of events of other servers; of our own the event itself takes its key, where it has one.
        """
        if event.position <= self.latest:
            return
        self.latest = event.position
        if len(self.recent) == RECENT_EVENTS:
            self.recent_complete_after = self.recent[0].position
        self.hold_recent(event)
        mark_parent(self.recent, event)
        if consequences is not None:
            mark_late_parent(self.recent, event)
            self._follow(event, consequences)
        elif event.takes_force:
            self._put(event)

    def _follow(self, event: TimelineEvent, consequences: Consequences) -> None:
        if consequences.whole is not None:
            self._become(consequences.whole)
        else:
            for key, _, holder in consequences.entries:
                if holder is None:
                    self._take_away(key)
                else:
                    self._put(holder)
        if consequences.resolved is not None:
            others = (position for _, position, holder in consequences.entries if holder is not event)
            self.resolved_at = max(self.resolved_at, *others)
        if consequences.gap is not None:
            self.gaps.append(consequences.gap)

    def _become(self, whole: LiveRoom) -> None:
        self.state.become(whole.state)
        self.joined, self.joined_local, self.invited = whole.joined, whole.joined_local, whole.invited
        self.servers = whole.servers

    def _put(self, event: TimelineEvent) -> None:
        self.state.put(event)
        if event.type == "m.room.member":
            self._place_member(event)

    def _take_away(self, key: StateKey) -> None:
        self.state.take_away(key)
        self.emptied.add(key)
        if key[0] == "m.room.member":
            self._leave(key[1])
            self.invited.discard(key[1])

    def follow_filled(self, filled: Gap, left: Gap | None, moved: Iterable[Entry], emptied: Iterable[StateKey]) -> None:
        """Older history was put into a gap. `moved`: entries at its bottom that have been in force only since later."""
        self.gaps = [gap for each in self.gaps if (gap := left if each == filled else each) is not None]
        # What is below the gap's old top is no longer all that there is.
        while self.recent and self.recent[0].position < filled.high:
            self._recent_weight -= self.recent.popleft().weight
        self.recent_complete_after = max(self.recent_complete_after, filled.high - 1)
        self.emptied.update(emptied)
        for key, position, event in moved:
            held = self.state.get(*key)
            if held is not None and event is not None and held.event_nid == event.event_nid:
                self.state.put(held.with_position(position))

    def hold_recent(self, event: TimelineEvent) -> None:
        """Put an event behind the newest ones; the oldest makes room."""
        if len(self.recent) == RECENT_EVENTS:
            self._recent_weight -= self.recent[0].weight
        self.recent.append(event)
        self._recent_weight += event.weight

    def _place_member(self, member: TimelineEvent) -> None:
        user_id = member.state_key
        assert user_id is not None
        membership = member.membership
        if membership == "join":
            self._join(user_id)
        else:
            self._leave(user_id)
        if membership == "invite":
            self.invited.add(user_id)
        else:
            self.invited.discard(user_id)

    def _join(self, user_id: str) -> None:
        if user_id in self.joined:
            return
        self.joined.add(user_id)
        server = user_id.partition(":")[2]
        self.servers[server] = self.servers.get(server, 0) + 1
        if server == self.server_name:
            self.joined_local.add(user_id)

    def _leave(self, user_id: str) -> None:
        if user_id not in self.joined:
            return
        self.joined.discard(user_id)
        self.joined_local.discard(user_id)
        server = user_id.partition(":")[2]
        self.servers[server] -= 1
        if not self.servers[server]:
            del self.servers[server]

    def replace_event(self, event: TimelineEvent) -> None:
        """An event was redacted: put its new form wherever the old one is held."""
        for index, held in enumerate(self.recent):
            if held.event_id == event.event_id:
                event.flags |= held.flags & RELATED
                self.recent[index] = event.with_position(held.position)
                self._recent_weight += event.weight - held.weight
        if event.state_key is not None:
            current = self.state.get(event.type, event.state_key)
            if current is not None and current.event_id == event.event_id:
                self._put(event.with_position(current.position))
        self._parsed.pop(event.event_id, None)

    def recent_since(self, position: int) -> list[TimelineEvent] | None:
        """Events after ``position``, oldest first; None where memory does not reach back that far."""
        if position < self.recent_complete_after:
            return None
        newer: list[TimelineEvent] = []
        for event in reversed(self.recent):
            if event.position <= position:
                break
            newer.append(event)
        newer.reverse()
        return newer

    def changes_since(self, position: int) -> list[TimelineEvent] | None:
        """State events that came into force after ``position``, oldest first; None where memory is not sure of all."""
        if position < self.resolved_at:
            return None
        newer = self.recent_since(position)
        return None if newer is None else [event for event in newer if event.takes_force]

    # -- speculative -------------------------------------------------------------------------------

    def fetch_auth_event(self, event_type: str, state_key: str) -> Event | None:
        """The state event as the next event finds it: pending over committed. The `fetch` of the auth rules."""
        if (event_type, state_key) in self.pending_state:
            return self.pending_state[event_type, state_key]
        committed = self.state.get(event_type, state_key)
        return None if committed is None else self.parsed(committed)

    def parsed(self, event: TimelineEvent) -> Event:
        """A committed state event in the form that the auth rules read."""
        found = self._parsed.get(event.event_id)
        if found is None:
            if len(self._parsed) >= PARSED_EVENTS:
                self._parsed.clear()
            found = Event.from_client_body(orjson.loads(event.body), self.room_id, self.version)
            self._parsed[event.event_id] = found
        return found

    def hold_parsed(self, event: Event) -> None:
        """A committed state event has a new form: build on that."""
        if event.state_key is not None:
            self._parsed[event.event_id] = event

    def power_levels(self) -> PowerLevels:
        """The levels that the next event is checked against; kept while create and power levels events stay the same."""
        levels = self.fetch_auth_event("m.room.power_levels", "")
        create = self.fetch_auth_event("m.room.create", "")
        assert create is not None, f"{self.room_id} has no create event"
        known = self.known_levels
        if known is None or known[0] is not levels or known[1] is not create:
            known = self.known_levels = (levels, create, power_levels_in_room(create, levels, self.version))
        return known[2]

    def settle(self, committed: Iterable[Event]) -> None:
        """Pending events are committed: what readers see has caught up with them."""
        for event in committed:
            self.pending -= 1
            if event.state_key is not None:
                key = (event.type, event.state_key)
                if self.pending_state.get(key) is event:
                    del self.pending_state[key]
                    # The parsed form is already here, and the committed event will be asked for next.
                    if len(self._parsed) < PARSED_EVENTS:
                        self._parsed[event.event_id] = event

    def settle_resolved(self, resolved: Mapping[StateKey, Event | None]) -> None:
        """The same for entries that others brought back or took away; newer pending ones stay."""
        for key, event in resolved.items():
            if key in self.pending_state and self.pending_state[key] is event:
                del self.pending_state[key]

    def weight(self) -> int:
        """What this room costs in memory, in events of ordinary size."""
        return self.state.weight + self._recent_weight
