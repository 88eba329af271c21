"""From events of the past, decided, to what is written into a gap of the timeline (decision 0017, part 3)."""

from __future__ import annotations

from collections.abc import Sequence

from homeserver.protocol.events import StateKey
from homeserver.services.foreign_events.decider import Decider
from homeserver.services.foreign_events.knowledge import Lacking
from homeserver.services.foreign_events.views import View
from homeserver.services.rooms.append import FilledGap, ForeignPart, NewEvent, PastChange, PastEvent, StateChange
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.timeline_gaps import Gap

Holder = TimelineEvent | str | None


def filled_gap(decider: Decider, gap: Gap, bottom: View, missing: Sequence[str]) -> FilledGap:
    """`bottom`: the state that has been in force in the gap until now. Raises Lacking.

    Events take the places below the gap's top, in their order. In force before them is the state before the first one; at
    the last place is put right in what the line of them ends otherwise than the bottom was, so that nothing above changes.
    """
    events = list(decider.parts.events.values())
    places = {new.event.event_id: gap.high - len(events) + index for index, new in enumerate(events)}
    entries = _Entries(decider)
    changes: dict[tuple[int, StateKey], Holder] = {}
    for new in events:
        place, part = places[new.event.event_id], _part(new)
        changes.update(((place, change.key), entries.holder(change.key, change.event)) for change in part.changes)
        if part.self_key is not None:
            changes[place, part.self_key] = entries.holder(part.self_key, new.event.event_id)
    begun = decider.course.begun
    if begun is not None:
        for key, event_id in _differences(decider, decider.course.current, bottom).items():
            changes[gap.high - 1, key] = entries.by_id(key, event_id)
    beginning = {} if begun is None else _differences(decider, bottom, begun)
    filled = FilledGap(
        gap=gap,
        events=[_past_event(new, places[new.event.event_id]) for new in events],
        new_high=gap.high - len(events),
        missing=missing,
        bottom=[StateChange(key, entries.by_id(key, event_id)) for key, event_id in beginning.items()],
        changes=[PastChange(position, key, holder) for (position, key), holder in changes.items()],
    )
    entries.check_complete()
    return filled


def _differences(decider: Decider, view: View, other: View) -> dict[StateKey, str | None]:
    """What the other state has otherwise."""
    now = decider.course.now
    keys = view.overlay.keys() | other.overlay.keys()
    return {key: event_id for key in keys if (event_id := other.at(key, now)) != view.at(key, now)}


def _past_event(new: NewEvent, place: int) -> PastEvent:
    part = _part(new)
    return PastEvent(
        event=new.event,
        body=new.body,
        envelope=new.envelope,
        place=place,
        flags=part.flags,
        stored_nid=part.stored_nid,
        unsigned=new.unsigned,
        relation=new.relation,
        auth_nids=new.auth_nids,
        forked=part.forked,
    )


def _part(new: NewEvent) -> ForeignPart:
    assert new.foreign is not None, "events of the past were made by others"
    return new.foreign


class _Entries:
    """Events that hold a key: those that are stored already as they are read, others by their ids."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._missing: set[str] = set()

    def holder(self, key: StateKey, holder: Holder) -> Holder:
        """An entry that may be stored already, as an outlier: then perhaps it is in force to this day."""
        return self.by_id(key, holder) if isinstance(holder, str) else holder

    def by_id(self, key: StateKey, event_id: str | None) -> Holder:
        if event_id is None:
            return None
        committed = self._decider.room.state.get(*key)
        if committed is not None and committed.event_id == event_id:
            return committed
        new = self._decider.parts.events.get(event_id)
        if new is not None and _part(new).stored_nid is None:
            return event_id
        entry = self._decider.known.entries.get(event_id)
        if entry is None:
            self._missing.add(event_id)
        return entry

    def check_complete(self) -> None:
        if self._missing:
            raise Lacking(entries=self._missing)
