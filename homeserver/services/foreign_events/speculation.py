"""A room as arriving events would change it, one after the other; nothing of it is real before it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from homeserver.protocol.event_format import max_depth
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import StateResolution
from homeserver.protocol.state_res import Overlay, find_conflict
from homeserver.protocol.state_res.layers import ReadState
from homeserver.services.foreign_events.knowledge import Fork, Knowledge, Lacking, LargeConflict, Unfounded
from homeserver.services.foreign_events.room_states import current_view, now_of, settled_view
from homeserver.services.foreign_events.views import View, brief, briefest
from homeserver.services.rooms.live_room import LiveRoom

MAX_EXTREMITIES = 20
"""An event of ours cites all of them, and may cite no more."""
QUICKLY_SETTLED = 150
"""A conflict of more events than this is settled in a thread."""

DEFERRED_ABOVE = 50
"""States that differ in more entries are resolved for the last of many events only."""


class _TooMuchForNow(Exception):  # noqa: N818  (an outcome rather than a mistake)
    """A large conflict, which can be settled later."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A point to go back to."""

    current: View
    tips: dict[str, View | None]
    depth: int
    deferred: str | None
    decided: tuple[str, ...]


@dataclass(slots=True)
class Speculation:
    """`now` is the room's state before all arrivals: what every view is relative to."""

    room: LiveRoom
    known: Knowledge
    alone: bool = False
    """Whether an event that is attached becomes the only extremity, whatever it cites."""
    begun: View | None = None
    """Of a line of the past: the state before its first event."""
    now: ReadState = field(init=False)
    current: View = field(init=False)
    depth: int = field(init=False)
    tips: dict[str, View | None] = field(init=False)
    """Extremities and the state after each; None: not looked up yet."""
    events: dict[str, Event] = field(default_factory=dict)
    """Events that have been decided here."""
    after: dict[str, View] = field(default_factory=dict)
    """The state after each of those, and after the only extremity of the beginning."""
    rejected: set[str] = field(default_factory=set)
    """Those of them that were rejected."""
    deferred: str | None = None
    """The event that was attached last, where `current` is still the state from before it: see `attach`."""

    def __post_init__(self) -> None:
        self.now = now_of(self.room)
        self.current = current_view(self.room)
        self.depth = self.room.tip.depth
        extremities = self.room.tip.extremities
        self.tips = dict.fromkeys(extremities)
        if len(extremities) == 1:  # the room's state is the state after it
            self.tips = {extremities[0]: self.current}
            self.after[extremities[0]] = self.current

    # -- states -------------------------------------------------------------------------------------

    def before(self, prev_event_ids: Sequence[str], told: Mapping[str, View]) -> View:
        """The state before an event that cites these; `told`: the states after some of them. Raises Lacking."""
        if not told and set(prev_event_ids) == self.tips.keys() and self.deferred is None:
            return self.current
        views = [told[event_id] if event_id in told else self.view_after(event_id) for event_id in prev_event_ids]
        return self._resolved(frozenset((*prev_event_ids, *(f"told {event_id}" for event_id in told))), views)

    def view_after(self, event_id: str) -> View:
        """The state after an event that is stored, or was accepted here. Raises Lacking."""
        view = self.after.get(event_id) or self.tips.get(event_id) or self.known.after.get(event_id)
        if view is not None:
            return view
        place = self.known.places.get(event_id)
        if place is None or not place.settled:
            raise Lacking(states={event_id})
        return settled_view(self.room, place)

    def _resolved(self, fork: Fork, views: Sequence[View], *, may_defer: bool = False) -> View:
        first, *others = views
        if all(view.overlay == first.overlay for view in others):
            return min(views, key=lambda view: view.effort)
        overlay = self.known.resolved.get(fork)
        if overlay is None:
            overlay = self.known.resolved[fork] = self._settled(
                fork, [view.overlay for view in views], may_defer=may_defer
            )
        return briefest(overlay, views, self.now)

    def _settled(self, fork: Fork, overlays: Sequence[Overlay], *, may_defer: bool) -> Overlay:
        self._have_links(overlays)
        auth = self.known.auth
        conflict = find_conflict(self.room.version, overlays, self.now, auth)
        events = self._all(conflict.needed(auth))
        events.update(self._all(conflict.needed_state(events[each] for each in conflict.full_conflicted)))
        if len(conflict.full_conflicted) > QUICKLY_SETTLED and fork not in self.known.not_in_thread:
            if may_defer:
                raise _TooMuchForNow
            raise Lacking(fork=LargeConflict(fork, conflict, events))
        return conflict.settle(events.get, self.known.rejected)

    def _have_links(self, overlays: Sequence[Overlay]) -> None:
        """The auth graph has to know the room's whole state: what that cites is in dispute nowhere."""
        if self.room.version.state_resolution is StateResolution.V1:
            return
        auth = self.known.auth
        unstored = (*self.events.values(), *filter(None, self.room.pending_state.values()))
        added = [event for event in unstored if event.state_key is not None and event.event_id not in self.rejected]
        for event in added:
            auth.add(event.event_id, event.key, event.auth_event_ids)
        missing = {each for event in added for each in event.auth_event_ids if each not in auth}
        missing |= {each for overlay in overlays for each in overlay.values() if each is not None and each not in auth}
        if self.known.linked != self.room.state.changes:
            missing.update(event.event_id for event in self.room.state if event.event_id not in auth)
        self._check_not_absent(missing)
        if missing:
            raise Lacking(links=missing)
        self.known.linked = self.room.state.changes

    def _all(self, event_ids: Iterable[str]) -> dict[str, Event]:
        """These events. Raises Lacking for all that are not in memory together."""
        found = {event_id: self.fetch(event_id) for event_id in event_ids}
        missing = {event_id for event_id, event in found.items() if event is None}
        self._check_not_absent(missing)
        if missing:
            raise Lacking(events=missing)
        return {event_id: event for event_id, event in found.items() if event is not None}

    # -- events -------------------------------------------------------------------------------------

    def fetch(self, event_id: str) -> Event | None:
        """An event with all its fields, where it is in memory."""
        found = self.events.get(event_id) or self.known.events.get(event_id)
        return found or next((e for e in self.room.pending_state.values() if e and e.event_id == event_id), None)

    def fetch_loaded(self, event_id: str) -> Event | None:
        """The same of what was loaded only."""
        return self.known.events.get(event_id)

    def event(self, event_id: str) -> Event:
        """The same. Raises Lacking."""
        return self._all([event_id])[event_id]

    def _check_not_absent(self, event_ids: Iterable[str]) -> None:
        absent = self.known.absent.intersection(event_ids)
        if absent:
            raise Unfounded(f"A state that was told has {min(absent)}, which is not here")

    def entry(self, view: View, key: StateKey) -> Event | None:
        """The state event at a key, with what auth rules read. Raises Lacking."""
        event_id = view.at(key, self.now)
        if event_id is None:
            return None
        if event_id == self.now(key):
            return self.room.fetch_auth_event(*key)
        return self.event(event_id)

    # -- changes ------------------------------------------------------------------------------------

    def saved(self) -> Saved:
        """What it takes to undo an event."""
        return Saved(self.current, self.tips, self.depth, self.deferred, tuple(self.after))

    def restore(self, saved: Saved) -> None:
        """As if the events since then had not come."""
        self.current, self.tips = saved.current, saved.tips
        self.depth, self.deferred = saved.depth, saved.deferred
        for event_id in self.after.keys() - set(saved.decided):
            del self.after[event_id], self.events[event_id]

    def note(self, event: Event, before: View, *, rejected: bool) -> View:
        """The event has been decided, and others may cite it; returns the state after it."""
        after = before if rejected or event.state_key is None else before.plus(event, self.now)
        self.events[event.event_id] = event
        self.after[event.event_id] = after
        if rejected:
            self.rejected.add(event.event_id)
        return after

    def attach(self, event: Event, *, at_once: bool = False) -> None:
        """An accepted event becomes an extremity instead of those it cites. Raises Lacking.

        States that differ in much are not resolved for each of many events: for the last one only (`settle`), unless it has
        to be known `at_once`. Until then what follows is checked against the room's state from before.
        """
        cited = self.tips.keys() if self.alone else set(event.prev_event_ids)
        tips = self._bounded({tip: view or self.view_after(tip) for tip, view in self.tips.items() if tip not in cited})
        tips[event.event_id] = self.after[event.event_id]
        self.tips = dict(tips)
        self.depth = min(max(self.depth, event.depth), max_depth(self.room.version))
        self.deferred = event.event_id
        if at_once or _differing(list(tips.values())) <= DEFERRED_ABOVE:
            with suppress(_TooMuchForNow):
                self.settle(may_defer=not at_once)

    def settle(self, *, may_defer: bool = False) -> None:
        """The room's state is that of the extremities. Raises Lacking."""
        if self.deferred is not None:
            views = {tip: view or self.view_after(tip) for tip, view in self.tips.items()}
            self.current = self._resolved(frozenset(views), list(views.values()), may_defer=may_defer)
            self.deferred = None

    def _bounded(self, tips: dict[str, View]) -> dict[str, View]:
        """The least is lost with the oldest ones that say nothing else than the room's state."""
        excess = len(tips) + 1 - MAX_EXTREMITIES
        if excess <= 0:
            return tips
        silent_first = sorted(tips, key=lambda tip: tips[tip].overlay != self.current.overlay)
        return {tip: view for tip, view in tips.items() if tip not in silent_first[:excess]}

    def view_of(self, state: Mapping[StateKey, str]) -> View:
        """A whole state, as another server told it."""
        base = current_view(self.room)
        keys = {(event.type, event.state_key or "") for event in self.room.state} | self.room.pending_state.keys()
        told: dict[StateKey, str | None] = {**dict.fromkeys(keys), **state}
        overlay = brief(told, self.now)
        return View(overlay, lambda: base.row_of(overlay, self.now))


def _differing(views: Sequence[View]) -> int:
    """In how many entries states differ."""
    first, *others = (view.overlay for view in views)
    return sum(len(dict(first.items() ^ other.items())) for other in others if other is not first)
