"""What is written for each event that was decided: its stored forms, its place, and what comes into force with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from homeserver.protocol.client_event import split
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.relations import relation_of
from homeserver.services.foreign_events.knowledge import Lacking, Unfounded
from homeserver.services.foreign_events.speculation import Speculation
from homeserver.services.foreign_events.views import LineRow, View, brief
from homeserver.services.rooms.append import ForeignPart, ForkedState, NewEvent, StateChange
from homeserver.services.rooms.timeline_event import REJECTED, SOFT_FAILED, TimelineEvent
from homeserver.services.rooms.unsigned import unsigned_for_state
from homeserver.storage.event_states import Place


@dataclass(slots=True)
class ForeignParts:
    """Collects them, and what has to be known to name events by number."""

    course: Speculation
    events: dict[str, NewEvent] = field(default_factory=dict)
    _entries: set[str] = field(default_factory=set)
    _numbers: set[str] = field(default_factory=set)

    def add(
        self,
        event: Event,
        before: View,
        line: View,
        *,
        flags: int,
        place: Place | None,
        missing: Sequence[str] = (),
        in_force: bool = False,
    ) -> None:
        """`line`: the room's state before the event was attached. `in_force`: the event was attached."""
        body, envelope = split(event)
        aside = bool(flags & (SOFT_FAILED | REJECTED))
        current = self.course.current if in_force else line
        self_key = event.key if event.state_key is not None and self._at(current, event) == event.event_id else None
        changed = self._changed(line, current, event, self_key, before if missing else None)
        part = ForeignPart(
            flags=flags,
            stored_nid=None if place is None else place.event_nid,
            changes=[StateChange(key, self._change(key, event_id)) for key, event_id in changed.items()],
            self_key=self_key,
            forked=self._forked(before, line, changed if missing else {}, place, aside=aside),
            missing=missing,
        )
        self.events[event.event_id] = NewEvent(
            event=event,
            body=body,
            envelope=envelope,
            unsigned=None if event.state_key is None else self._unsigned(event, before, line),
            relation=None if aside else relation_of(event.content),
            auth_nids=None if event.state_key is None else self._numbers_of(dict.fromkeys(event.auth_event_ids)),
            foreign=part,
        )

    def come_into_force(self, event_id: str, line: View) -> None:
        """The room's state has been settled after this event, the last one; it was `line` before."""
        new = self.events[event_id]
        event, current = new.event, self.course.current
        self_key = event.key if event.state_key is not None and self._at(current, event) == event_id else None
        changed = self._changed(line, current, event, self_key, None)
        changes = [StateChange(key, self._change(key, each)) for key, each in changed.items()]
        assert new.foreign is not None, "it was made by others"
        new.foreign = replace(new.foreign, changes=changes, self_key=self_key)

    def rewrite(self, event: Event, unsigned: bytes | None, flags: int) -> None:
        """An event that is not written yet gets another form."""
        new = self.events[event.event_id]
        new.event, new.unsigned, new.relation = event, unsigned, None
        new.body, new.envelope = split(event)
        assert new.foreign is not None
        new.foreign = replace(new.foreign, flags=new.foreign.flags | flags)

    def check_complete(self) -> None:
        """Raise Lacking where events could not be named."""
        if self._entries or self._numbers:
            raise Lacking(entries=self._entries, numbers=self._numbers)

    def resolved(self) -> dict[StateKey, Event | None]:
        """Pending state that is not of events written here: brought back, or taken away."""
        entries = ((key, self._entry(key, event_id)) for key, event_id in self.course.current.overlay.items())
        return {key: self._as_event(entry) for key, entry in entries if not self._is_written(entry)}

    # -- state --------------------------------------------------------------------------------------

    def _at(self, view: View, event: Event) -> str | None:
        return view.at(event.key, self.course.now)

    def _changed(
        self, line: View, current: View, event: Event, self_key: StateKey | None, bottom: View | None
    ) -> dict[StateKey, str | None]:
        """What comes into force beside the event itself. `bottom`: there is a gap before it, and this was before it."""
        now = self.course.now
        keys = line.overlay.keys() | current.overlay.keys()
        changed = {key: current.at(key, now) for key in keys if key != self_key}
        if bottom is not None and self_key is not None:
            changed[self_key] = bottom.at(self_key, now)
        return {key: event_id for key, event_id in changed.items() if line.at(key, now) != event_id}

    def _forked(
        self, before: View, line: View, at_bottom: Mapping[StateKey, str | None], place: Place | None, *, aside: bool
    ) -> ForkedState | None:
        """None where the state before the event is that of the line, or where that is written already.

        `at_bottom`: what comes into force at the bottom of the gap before it, and is part of the line there.
        """
        if place is not None and place.forked:
            return None
        row = before.row
        if not aside or place is None:  # else its place on the line is that of an old number
            now = self.course.now
            overlay = brief({**line.overlay, **at_bottom}, now)
            if before.overlay == overlay:
                return None
            if at_bottom or self.course.begun is not None:
                row = min(row, View(overlay, LineRow(None)).row_of(before.overlay, now), key=len)
            else:
                before.shorten_row(line, now)
                row = before.row
        return ForkedState(
            row.base_position, self._numbers_of(row.instead.values()), self._numbers_of(row.without.values())
        )

    def _unsigned(self, event: Event, before: View, line: View) -> bytes | None:
        """What readers see it replace: the room's state if it has something there."""
        key = event.key
        view = line if line.at(key, self.course.now) is not None else before
        replaced_id = view.at(key, self.course.now)
        if replaced_id is None or replaced_id == event.event_id:
            return None
        replaced = self.course.entry(view, key)
        return None if replaced is None else unsigned_for_state(replaced)

    # -- names --------------------------------------------------------------------------------------

    def _numbers_of(self, event_ids: Iterable[str]) -> list[int | str]:
        return [self._number(event_id) for event_id in event_ids]

    def _number(self, event_id: str) -> int | str:
        """Its number; its id where it has none yet."""
        known = self.course.known
        number = known.numbers.get(event_id)
        if number is None and event_id in known.places:
            number = known.places[event_id].event_nid
        if number is not None:
            return number
        if event_id not in self.events:
            self._numbers.add(event_id)
        return event_id

    def _change(self, key: StateKey, event_id: str | None) -> TimelineEvent | str | None:
        entry = self._entry(key, event_id)
        if not isinstance(entry, Event):
            return entry
        if entry.event_id not in self.events:  # one of ours that is being committed
            self._numbers.add(entry.event_id)
        return entry.event_id

    def _entry(self, key: StateKey, event_id: str | None) -> TimelineEvent | Event | None:
        if event_id is None:
            return None
        committed = self.course.room.state.get(*key)
        if committed is not None and committed.event_id == event_id:
            return committed
        if event_id in self.course.events:
            return self.course.events[event_id]
        pending = self.course.room.pending_state.get(key)
        if pending is not None and pending.event_id == event_id:
            return pending
        entry = self.course.known.entries.get(event_id)
        if event_id in self.course.known.absent:
            raise Unfounded(f"A state that was told has {event_id}, which is not here")
        if entry is None:
            self._entries.add(event_id)
        return entry

    def _is_written(self, entry: TimelineEvent | Event | None) -> bool:
        return entry is not None and entry.event_id in self.events

    def _as_event(self, entry: TimelineEvent | Event | None) -> Event | None:
        if entry is None or isinstance(entry, Event):
            return entry
        room = self.course.room
        loaded = self.course.fetch_loaded(entry.event_id)
        return loaded or Event.from_client_body(orjson.loads(entry.body), room.room_id, room.version)
