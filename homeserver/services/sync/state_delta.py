"""The `state` of an answer: everything at the start of the timeline, or what changed between the last sync and there.

With `state_after` the same at the end of the timeline. Rooms in memory answer from memory; all others, and the few
values that memory has already replaced, cost a constant number of statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.unsigned import replaced_nothing
from homeserver.services.sync.window import Window
from homeserver.storage.sync_rooms import Span, SyncRooms

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

MEMBER = "m.room.member"
StateKey = tuple[str, str]


@dataclass(slots=True)
class StateOfWindow:
    """State being collected: by type and state key, as of ``position``."""

    window: Window
    position: int
    found: dict[StateKey, TimelineEvent] = field(default_factory=dict)
    missing: set[StateKey] = field(default_factory=set)
    """Set at ``position`` perhaps, but replaced in memory since: to be asked for."""

    def put(self, events: Iterable[TimelineEvent]) -> None:
        for event in events:
            assert event.state_key is not None
            self.found[(event.type, event.state_key)] = event

    def want(self, event_type: str, state_key: str) -> None:
        """One more value, if it was set at all."""
        if (event_type, state_key) in self.found:
            return
        live = self.window.live
        if live is None:
            self.missing.add((event_type, state_key))
            return
        event = live.state.get(event_type, state_key)
        if event is not None:
            self.take(event, live)
        elif (event_type, state_key) in live.emptied:
            self.missing.add((event_type, state_key))

    def take(self, event: TimelineEvent, live: LiveRoom) -> None:
        """An entry of the current state of a room in memory, or what it has replaced since `position`."""
        assert event.state_key is not None
        if event.position <= self.position:
            self.found[(event.type, event.state_key)] = event
        elif not replaced_nothing(event, live.emptied):
            self.missing.add((event.type, event.state_key))

    def take_all(self, live: LiveRoom, *, members: bool) -> None:
        """The whole state of a room in memory."""
        for event_type in live.state.types():
            if members or event_type != MEMBER:
                for event in live.state.of_type(event_type).values():
                    self.take(event, live)
        if self.position < live.resolved_at:
            self.missing.update(
                key for key in live.emptied if (members or key[0] != MEMBER) and live.state.get(*key) is None
            )


@dataclass(frozen=True, slots=True)
class StateDelta:
    """First `base` for all windows, then single values through `StateOfWindow.want`, then `complete`."""

    queries: Queries
    rooms: SyncRooms

    async def base(self, windows: Sequence[Window], *, at_end: bool, members: bool) -> list[StateOfWindow]:
        """State (members only if asked for) of each full window, changes of state of each other one."""
        states = [StateOfWindow(window, window.up_to if at_end else window.start) for window in windows]
        await self._full([state for state in states if state.window.full], members=members)
        await self._changes([state for state in states if not state.window.full])
        if not at_end:
            for state in states:
                _add_passed(state)
        return states

    async def _full(self, states: Sequence[StateOfWindow], *, members: bool) -> None:
        cold = []
        for state in states:
            if state.window.live is None:
                cold.append(state)
            else:
                state.take_all(state.window.live, members=members)
        if cold:
            places = [(state.window.room_nid, state.position) for state in cold]
            _distribute(cold, await self.rooms.states_at(self.queries, places, members=members))

    async def _changes(self, states: Sequence[StateOfWindow]) -> None:
        cold = []
        for state in states:
            since = state.window.since
            assert since is not None
            if state.position <= since:
                continue
            recent = None if state.window.live is None else state.window.live.changes_since(since)
            if recent is None:
                cold.append((state, Span(state.window.room_nid, since, state.position)))
            else:
                state.put(event for event in recent if event.position <= state.position)
        if cold:
            rows = await self.rooms.states_changed(self.queries, [span for _, span in cold])
            _distribute([state for state, _ in cold], rows)

    async def complete(self, states: Sequence[StateOfWindow]) -> None:
        """Ask for what is missing, in one statement, and hand all windows their state."""
        await read_missing(self.queries, self.rooms, states)
        for state in states:
            state.window.state = sorted(state.found.values(), key=lambda event: event.event_nid)


def _add_passed(state: StateOfWindow) -> None:
    """State events that the filter kept out of the timeline would otherwise never be told."""
    for event in sorted(state.window.passed_state, key=lambda event: event.position):
        if event.position > state.position:
            state.put([event])


async def read_missing(queries: Queries, rooms: SyncRooms, states: Sequence[StateOfWindow]) -> None:
    """Entries that memory does not have; at most one statement."""
    wanted = [
        (state.window.room_nid, event_type, state_key, state.position)
        for state in states
        for event_type, state_key in state.missing
    ]
    if wanted:
        _distribute(states, await rooms.state_values_at(queries, wanted), over=False)


def _distribute(states: Sequence[StateOfWindow], rows: Iterable[Record], *, over: bool = True) -> None:
    """Hand windows what the database had of their state; `over`: it takes the place of what they have."""
    by_room = {state.window.room_nid: state for state in states}
    for row in rows:
        state = by_room[row[2]]
        event = to_timeline_event(row, state.window.room_id)
        assert event.state_key is not None
        if over:
            state.put([event])
        else:
            state.found.setdefault((event.type, event.state_key), event)
