"""Numbers and positions of events, given at the moment of writing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.auth import auth_types_for_event
from homeserver.storage.columns import array_text

if TYPE_CHECKING:
    from homeserver.services.rooms.append import ForkedState, NewEvent
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.timeline_event import TimelineEvent


@dataclass(frozen=True, slots=True)
class Place:
    """`low`: the last position before the hole that is left free below `position`; None where there is none."""

    event_nid: int
    position: int
    low: int | None = None


def forked_row(
    forked: ForkedState, event_nid: int, position: int, of: Callable[[Iterable[int | str]], list[int]]
) -> tuple[int, int, str, str]:
    """A row of `forked_states`. `of`: numbers of what is named by number or id."""
    base = position - 1 if forked.base_position is None else forked.base_position
    return event_nid, base, array_text(of(forked.instead)), array_text(of(forked.without))


@dataclass(slots=True)
class Numbers:
    """Events of a batch, which get their numbers one after the other."""

    _events: dict[str, TimelineEvent] = field(default_factory=dict)

    def add(self, event_id: str, event: TimelineEvent) -> None:
        self._events[event_id] = event

    def event(self, room: LiveRoom, event_id: str) -> TimelineEvent:
        """An event that came before in this batch, or has been committed just before. Raises LookupError."""
        found = self._events.get(event_id)
        if found is None:
            found = next((event for event in reversed(room.recent) if event.event_id == event_id), None)
        if found is None:
            raise LookupError(f"{event_id} has no number yet")
        return found

    def of(self, room: LiveRoom, named: Iterable[int | str]) -> list[int]:
        """Numbers, those of events that are given by their ids included."""
        return [self.event(room, each).event_nid if isinstance(each, str) else each for each in named]

    def of_auth_events(self, room: LiveRoom, new: NewEvent) -> Sequence[int] | None:
        """Numbers of a state event's auth events; None for others.

        Our own events cite the room's state: it is in this batch or committed, for nothing that comes later has replaced it.
        """
        if new.event.state_key is None:
            return None
        if new.auth_nids is not None:
            return self.of(room, new.auth_nids)
        return list(self._own(room, new))

    def _own(self, room: LiveRoom, new: NewEvent) -> Iterable[int]:
        event = new.event
        cited = set(event.auth_event_ids)
        for event_id in event.auth_event_ids:
            if event_id in self._events:
                cited.discard(event_id)
                yield self._events[event_id].event_nid
        if not cited:
            return
        for key in auth_types_for_event(event.type, event.sender, event.state_key, event.content, room.version):
            held = room.state.get(*key)
            if held is not None and held.event_id in cited:
                yield held.event_nid
