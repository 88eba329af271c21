"""The state at some event, as two small differences: from the room's state now, and from the line at a position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.state_res import Overlay
from homeserver.protocol.state_res.layers import ReadState

BRIEF = 4
"""Rows up to twice this long are written as they are."""

RowChange = tuple[StateKey, str | None, str | None]
"""(key, the id that holds or None, the id that held)."""


@dataclass(frozen=True, slots=True)
class LineRow:
    """What a row of `forked_states` would say (decision 0017), with event ids."""

    base_position: int | None
    """None: that before the event of which this is the row."""
    instead: Mapping[StateKey, str] = field(default_factory=dict)
    without: Mapping[StateKey, str] = field(default_factory=dict)
    """Keys where there is nothing; an event that had the place, by which the key is named."""

    def __len__(self) -> int:
        return len(self.instead) + len(self.without)

    def plus(self, changes: Iterable[RowChange]) -> LineRow:
        """With other entries."""
        instead, without = dict(self.instead), dict(self.without)
        for key, holds, held in changes:
            instead.pop(key, None)
            without.pop(key, None)
            if holds is not None:
                instead[key] = holds
            elif held is not None:
                without[key] = held
        return LineRow(self.base_position, instead, without)


class View:
    """A state of the room. `overlay`: only where it differs from the room's state now (pending events included).

    The row is made when it is asked for: most states are compared and checked against, and never written.
    """

    __slots__ = ("_make_row", "_parent", "_row", "_tried", "overlay")

    def __init__(self, overlay: Overlay, row: LineRow | Callable[[], LineRow]) -> None:
        self.overlay = overlay
        self._row = row if isinstance(row, LineRow) else None
        self._make_row = None if isinstance(row, LineRow) else row
        # The state before the event that made this one, with what it changed.
        self._parent: tuple[View, RowChange] | None = None
        self._tried = BRIEF

    @property
    def row(self) -> LineRow:
        """The state, as a difference from the line."""
        changes: list[RowChange] = []
        view = self
        while view._row is None and view._parent is not None:
            view, change = view._parent
            changes.append(change)
        if view._row is None:
            assert view._make_row is not None
            view._row, view._make_row = view._make_row(), None
        if self._row is None:
            self._row, self._parent = view._row.plus(reversed(changes)), None
        return self._row

    def shorten_row(self, other: View, now: ReadState) -> None:
        """Write this state as a difference from the other one, if that is less.

        Tried only when the row has doubled since: a long fork has a row for each of its events.
        """
        if len(self.row) > 2 * self._tried:
            self._tried = len(self.row)
            self._row = min(self.row, other.row_of(self.overlay, now), key=len)

    @property
    def effort(self) -> int:
        """How large the row is, or may be."""
        return len(self.overlay) + 1 if self._row is None else len(self._row)

    def plus(self, event: Event, now: ReadState) -> View:
        """After this state event."""
        overlay = {**self.overlay, event.key: event.event_id}
        if now(event.key) == event.event_id:
            del overlay[event.key]
        return self.changed(overlay, event.key, event.event_id)

    def changed(self, overlay: Overlay, key: StateKey, event_id: str) -> View:
        """A state that has one more event than this one."""
        view = View(overlay, _no_row)
        view._parent, view._tried = (self, (key, event_id, None)), self._tried
        return view

    def at(self, key: StateKey, now: ReadState) -> str | None:
        """The id of the event at a key."""
        return self.overlay[key] if key in self.overlay else now(key)

    def row_of(self, overlay: Overlay, now: ReadState) -> LineRow:
        """Another state's row, made of this one's."""
        keys = overlay.keys() | self.overlay.keys()
        return self.row.plus(
            (key, holds, held)
            for key in keys
            if (holds := overlay[key] if key in overlay else now(key)) != (held := self.at(key, now))
        )


def _no_row() -> LineRow:
    raise AssertionError("its row is made of that of the state before")


def briefest(overlay: Overlay, views: Sequence[View], now: ReadState) -> View:
    """A state, written as a difference from that of these which makes the smallest row."""
    return View(overlay, lambda: min((view.row_of(overlay, now) for view in views), key=len))


def brief(overlay: Mapping[StateKey, str | None], now: ReadState) -> Overlay:
    """Without the entries that are as now: equal states have equal overlays."""
    return {key: event_id for key, event_id in overlay.items() if now(key) != event_id}
