"""From older history to rows: what one step of filling a gap of a timeline writes (decision 0017, part 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from homeserver.services.rooms.append import FilledGap, PastEvent
from homeserver.services.rooms.live_room import Entry, LiveRoom
from homeserver.services.rooms.numbers import forked_row
from homeserver.services.rooms.timeline_event import UNPLACED, TimelineEvent
from homeserver.storage.columns import array_text
from homeserver.storage.timeline_gaps import PastRows


@dataclass(frozen=True, slots=True)
class _Numbers:
    of_ids: dict[str, int]

    def of(self, named: Iterable[int | str]) -> list[int]:
        return [self.of_ids[each] if isinstance(each, str) else each for each in named]

    def of_holder(self, holder: TimelineEvent | str | None) -> int | None:
        if holder is None:
            return None
        return self.of_ids[holder] if isinstance(holder, str) else holder.event_nid


def past_rows(room: LiveRoom, filled: FilledGap) -> PastRows:
    """Raises LookupError where an id is none of the events'."""
    rows = PastRows(room.room_nid, filled.gap, filled.new_high, filled.missing)
    numbers = _Numbers({past.event.event_id: _nid(past) for past in filled.events})
    for past in filled.events:
        _add_event(rows, past, numbers)
    for change in filled.bottom:
        if change.event is None:
            rows.bottom_gone.rows.append(change.key)
        else:
            rows.bottom_set.rows.append((*change.key, numbers.of_holder(change.event)))
    for each in filled.changes:
        rows.changes.rows.append((*each.key, each.position, numbers.of_holder(each.event)))
    last = {each.key: each for each in sorted(filled.changes, key=lambda each: each.position)}
    rows.risen.rows += [(*key, each.position, numbers.of_holder(each.event)) for key, each in last.items()]
    return rows


def moved_entries(filled: FilledGap) -> list[Entry]:
    """What has been in force since the bottom of the hole until now, perhaps, is so since these positions only.

    Entries of the room's current state are stored before their gap is filled: they come as TimelineEvent.
    """
    last = {each.key: each for each in sorted(filled.changes, key=lambda each: each.position)}
    return [
        Entry(key, each.position, each.event.with_position(each.position))
        for key, each in last.items()
        if isinstance(each.event, TimelineEvent)
    ]


def _nid(past: PastEvent) -> int:
    return past.place if past.stored_nid is None else past.stored_nid


def _add_event(rows: PastRows, past: PastEvent, numbers: _Numbers) -> None:
    event, nid = past.event, _nid(past)
    position = None if past.flags & UNPLACED else past.place
    if past.stored_nid is not None:
        rows.placed.rows.append((nid, position, past.flags, past.body, past.envelope, past.unsigned))
    else:
        auth = None if past.auth_nids is None else array_text(numbers.of(past.auth_nids))
        rows.events.rows.append(
            (nid, position, event.depth, event.origin_server_ts, past.flags, event.event_id, event.type, event.state_key,
             event.sender, past.body, past.envelope, past.unsigned, auth)
        )  # fmt: skip
    if past.relation is not None and position is not None:
        parent_id, rel_type, aggregation_key = past.relation
        rows.relations.rows.append((nid, position, parent_id, rel_type, event.type, event.sender, aggregation_key))
    if past.forked is not None:
        rows.forked.rows.append(forked_row(past.forked, nid, past.place, numbers.of))
