"""The state at some event, as two small differences: from the room's state now, and from the line at a position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.state_res import Overlay
from homeserver.protocol.state_res.layers import ReadState


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

    def plus(self, changes: Iterable[tuple[StateKey, str | None, str | None]]) -> LineRow:
        """With other entries: (key, the id that holds or None, the id that held)."""
        instead, without = dict(self.instead), dict(self.without)
        for key, holds, held in changes:
            instead.pop(key, None)
            without.pop(key, None)
            if holds is not None:
                instead[key] = holds
            elif held is not None:
                without[key] = held
        return LineRow(self.base_position, instead, without)


@dataclass(frozen=True, slots=True)
class View:
    """A state of the room. `overlay`: only where it differs from the room's state now (pending events included)."""

    overlay: Overlay
    row: LineRow

    def plus(self, event: Event, now: ReadState) -> View:
        """After this state event."""
        overlay = {key: value for key, value in self.overlay.items() if key != event.key}
        if now(event.key) != event.event_id:
            overlay[event.key] = event.event_id
        return View(overlay, self.row.plus([(event.key, event.event_id, None)]))

    def at(self, key: StateKey, now: ReadState) -> str | None:
        """The id of the event at a key."""
        return self.overlay[key] if key in self.overlay else now(key)

    def moved_to(self, overlay: Overlay, now: ReadState) -> View:
        """Another state, written as a difference from what this one is written from."""
        keys = overlay.keys() | self.overlay.keys()
        changes = [
            (key, holds, held)
            for key in keys
            if (holds := overlay[key] if key in overlay else now(key)) != (held := self.at(key, now))
        ]
        return View(overlay, self.row.plus(changes))


def briefest(overlay: Overlay, views: Sequence[View], now: ReadState) -> View:
    """A state, written as a difference from that of these which makes the smallest row."""
    return min((view.moved_to(overlay, now) for view in views), key=lambda view: len(view.row))


def brief(overlay: Mapping[StateKey, str | None], now: ReadState) -> Overlay:
    """Without the entries that are as now: equal states have equal overlays."""
    return {key: event_id for key, event_id in overlay.items() if now(key) != event_id}
