"""The state of a room before and after any of its events (decision 0017, part 2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.errors import NotFound, Unavailable
from homeserver.protocol.events import StateKey
from homeserver.protocol.state_res.layers import ReadState
from homeserver.services.foreign_events.views import LineRow, View, brief
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import OUTLIER, REJECTED
from homeserver.storage.event_states import EventStates, Place

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_TRIES = 5
MAX_CACHED_ENTRIES = 50_000

Marker = tuple[object, ...]


def now_of(room: LiveRoom) -> ReadState:
    """Reads the room's state as the next event finds it: pending over committed."""
    pending, state = room.pending_state, room.state

    def now(key: StateKey) -> str | None:
        if key in pending:
            event = pending[key]
            return None if event is None else event.event_id
        committed = state.get(*key)
        return None if committed is None else committed.event_id

    return now


def marker_of(room: LiveRoom) -> Marker:
    """Equal as long as the room's state is the same, pending entries included."""
    pending = tuple((key, event and event.event_id) for key, event in room.pending_state.items())
    return (id(room), room.state.changes, pending)


def has_state(place: Place) -> bool:
    """Whether the state at this event is known: it is that of an outlier only once that gets a position."""
    return place.position is not None or not place.flags & OUTLIER


@dataclass(slots=True)
class RoomStates:
    """States come as views; whole maps are made for those who send them away."""

    queries: Queries
    rows: EventStates
    _cached: OrderedDict[str, tuple[Marker, View]] = field(default_factory=OrderedDict)
    _weight: int = 0

    async def before(self, room: LiveRoom, event_id: str) -> dict[StateKey, str]:
        """The state before an event. Raises NotFound where the event is not here, or is an outlier."""
        place = await self._place(room, event_id)
        return self._whole(room, (await self.views_before(room, [place]))[event_id])

    async def after(self, room: LiveRoom, event_id: str) -> dict[StateKey, str]:
        """The state after an event. Raises NotFound as `before`."""
        place = await self._place(room, event_id)
        return self._whole(room, (await self.views_after(room, [place]))[event_id])

    async def views_before(
        self, room: LiveRoom, places: Collection[Place], numbers: dict[str, int] | None = None
    ) -> dict[str, View]:
        """Views by event id, all relative to the room's state at the moment of return. Two statements at most.

        `numbers` gets the numbers of events that are met on the way.
        """
        for _ in range(MAX_TRIES):
            marker = marker_of(room)
            views = await self._views_before(room, places, {} if numbers is None else numbers)
            if marker_of(room) == marker:
                return views
        raise Unavailable("The room's state changes too quickly, try again")

    async def views_after(
        self, room: LiveRoom, places: Collection[Place], numbers: dict[str, int] | None = None
    ) -> dict[str, View]:
        """The same after events. Rejected ones set nothing."""
        views = await self.views_before(room, places, numbers)
        return {place.event_id: view_after(room, place, views[place.event_id]) for place in places}

    async def line_before(self, room: LiveRoom, position: int) -> View:
        """The line itself at the position before this one. One statement."""
        for _ in range(MAX_TRIES):
            marker = marker_of(room)
            lines = await self._lines(room, {position - 1}, {})
            if marker_of(room) == marker:
                return View(brief(lines[position - 1], now_of(room)), LineRow(position - 1))
        raise Unavailable("The room's state changes too quickly, try again")

    async def _place(self, room: LiveRoom, event_id: str) -> Place:
        places, _ = await self.rows.places(self.queries, [event_id])
        place = places.get(event_id)
        if place is None or place.room_nid != room.room_nid or not has_state(place):
            raise NotFound(f"The state at {event_id} is not known")
        return place

    def _whole(self, room: LiveRoom, view: View) -> dict[StateKey, str]:
        state: dict[StateKey, str | None] = {
            (event.type, event.state_key or ""): event.event_id for event in room.state
        }
        now = now_of(room)
        state.update((key, now(key)) for key in room.pending_state)
        state.update(view.overlay)
        return {key: event_id for key, event_id in state.items() if event_id is not None}

    async def _views_before(
        self, room: LiveRoom, places: Collection[Place], numbers: dict[str, int]
    ) -> dict[str, View]:
        marker = marker_of(room)
        views = {place.event_id: view for place in places if (view := self._remembered(place, marker)) is not None}
        missing = [place for place in places if place.event_id not in views]
        if not missing:
            return views
        rows = await self._forked_rows([place for place in missing if place.forked], numbers)
        rows.update({place.event_nid: (place.at - 1, LineRow(place.at - 1)) for place in missing if not place.forked})
        lines = await self._lines(room, {base for base, _ in rows.values()}, numbers)
        now = now_of(room)
        for place in missing:
            base, row = rows[place.event_nid]
            view = View(brief({**lines[base], **_differences(row)}, now), row)
            views[place.event_id] = view
            self._remember(place, marker, view)
        return views

    async def _forked_rows(
        self, places: Collection[Place], numbers: dict[str, int]
    ) -> dict[int, tuple[int, LineRow]]:  # fmt: skip
        """(base position, row) by number."""
        if not places:
            return {}
        rows: dict[int, tuple[int, LineRow]] = {}
        instead: dict[int, dict[StateKey, str]] = {place.event_nid: {} for place in places}
        without: dict[int, dict[StateKey, str]] = {place.event_nid: {} for place in places}
        for nid, base, holds, event_nid, event_id, event_type, state_key in await self.rows.forked(
            self.queries, list(instead)
        ):
            rows.setdefault(nid, (base, LineRow(base, instead[nid], without[nid])))
            if event_nid is not None:
                numbers[event_id] = event_nid
                (instead if holds else without)[nid][event_type, state_key] = event_id
        return rows

    async def _lines(
        self, room: LiveRoom, positions: Collection[int], numbers: dict[str, int]
    ) -> dict[int, dict[StateKey, str | None]]:
        """The line at positions, where it differs from the room's state now (or may)."""
        lines: dict[int, dict[StateKey, str | None]] = {position: {} for position in positions}
        for position, event_type, state_key, nid, event_id in await self.rows.changed_since(
            self.queries, room.room_nid, positions
        ):
            lines[position][event_type, state_key] = event_id
            if event_id is not None:
                numbers[event_id] = nid
        for line in lines.values():
            for key, committed in _under_pending(room):
                line.setdefault(key, committed)
        return lines

    def _remembered(self, place: Place, marker: Marker) -> View | None:
        found = self._cached.get(place.event_id)
        return found[1] if found is not None and found[0] == marker else None

    def _remember(self, place: Place, marker: Marker, view: View) -> None:
        self._forget(place.event_id)
        self._cached[place.event_id] = (marker, view)
        self._weight += 1 + 2 * len(view.overlay)
        while self._weight > MAX_CACHED_ENTRIES and len(self._cached) > 1:
            self._forget(next(iter(self._cached)))

    def _forget(self, event_id: str) -> None:
        found = self._cached.pop(event_id, None)
        if found is not None:
            self._weight -= 1 + 2 * len(found[1].overlay)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"views": len(self._cached), "entries": self._weight}


def view_after(room: LiveRoom, place: Place, before: View) -> View:
    """The state after an event from that before it."""
    if place.state_key is None or place.flags & REJECTED:
        return before
    key, now = (place.type, place.state_key), now_of(room)
    overlay = brief({**before.overlay, key: place.event_id}, now)
    return before.changed(overlay, key, place.event_id)


def settled_view(room: LiveRoom, place: Place) -> View:
    """The state after an event since which nothing has changed."""
    overlay = brief(dict(_under_pending(room)), now_of(room))
    return View(overlay, LineRow(place.at))


def current_view(room: LiveRoom) -> View:
    """The room's state now."""
    committed = dict(_under_pending(room))
    row = LineRow(room.latest)
    now = now_of(room)
    return View({}, row.plus((key, now(key), held) for key, held in committed.items()))


def _under_pending(room: LiveRoom) -> Iterable[tuple[StateKey, str | None]]:
    """What the pending state replaces."""
    for key in room.pending_state:
        committed = room.state.get(*key)
        yield key, None if committed is None else committed.event_id


def _differences(row: LineRow) -> Mapping[StateKey, str | None]:
    return {**row.instead, **dict.fromkeys(row.without)}
