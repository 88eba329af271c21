"""Which part of a room's history one reader may see. Client-server API, "Room History Visibility".

`readable_history` turns what changed (the room's visibility, the reader's membership) into ranges of positions, once;
asking for an event is then one binary search. A former member is a reader like any other: his ranges end where he left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

WORLD_READABLE: Final = "world_readable"
SHARED: Final = "shared"
INVITED: Final = "invited"
JOINED: Final = "joined"
VISIBILITIES: Final = frozenset((WORLD_READABLE, SHARED, INVITED, JOINED))

# Positions are 64-bit integers (storage), so these are before and after every event.
FIRST_POSITION: Final = -(2**63)
LAST_POSITION: Final = 2**63 - 1

Change = tuple[int, str]
"""The position of a state event, and the visibility or membership it sets."""

Range = tuple[int, int]
"""First and last position, both included."""


def visibility_of(content: Mapping[str, Any] | None) -> str:
    """The visibility an `m.room.history_visibility` event sets; `shared` where there is none or nobody knows it."""
    visibility = None if content is None else content.get("history_visibility")
    return visibility if isinstance(visibility, str) and visibility in VISIBILITIES else SHARED


def never_hides_from_members(visibilities: Iterable[str]) -> bool:
    """Whether a room that had only these visibilities (none: `shared`) shows all of its history to whoever is in it."""
    return all(visibility not in (INVITED, JOINED) for visibility in visibilities)


@dataclass(frozen=True, slots=True)
class ReadableHistory:
    """The positions a reader may see, as ranges in ascending order that do not overlap."""

    ranges: tuple[Range, ...]

    def allows(self, position: int) -> bool:
        """Whether the reader may see the event at this position."""
        index = bisect_right(self.ranges, (position, LAST_POSITION)) - 1
        return index >= 0 and position <= self.ranges[index][1]

    @property
    def is_everything(self) -> bool:
        return self.ranges == ((FIRST_POSITION, LAST_POSITION),)

    @property
    def is_nothing(self) -> bool:
        return not self.ranges

    @property
    def last(self) -> int | None:
        """The last position the reader may see, LAST_POSITION where the future is open; None: nothing at all."""
        return self.ranges[-1][1] if self.ranges else None


EVERYTHING: Final = ReadableHistory(((FIRST_POSITION, LAST_POSITION),))


def readable_history(visibilities: Sequence[Change], memberships: Sequence[Change]) -> ReadableHistory:
    """What the reader may see, from all changes of the room's visibility and of his own membership.

    Both are in ascending order of position; the state of an event is what was set before it. Before the first change
    the visibility is `shared` and the reader is not in the room.
    """
    times = sorted({position for position, _ in (*visibilities, *memberships)})
    last_join = max((position for position, membership in memberships if membership == "join"), default=FIRST_POSITION)
    spans = _spans_between(times, dict(visibilities), dict(memberships), last_join)
    return ReadableHistory(tuple(_joined_ranges(times, spans)))


def allows_event(visibility: str, membership: str | None, *, joins_later: bool) -> bool:
    """The numbered rules: whether a reader sees an event sent with this visibility and his membership then."""
    if visibility == WORLD_READABLE or membership == "join":
        return True
    if visibility == INVITED:
        return membership == "invite"
    return visibility != JOINED and joins_later  # "if the value is not understood, the visibility is [...] `shared`"


def _spans_between(
    times: Sequence[int], visibilities: Mapping[int, str], memberships: Mapping[int, str], last_join: int
) -> list[bool]:
    """Whether events before the first change, between two changes, and after the last one are readable."""
    visibility, membership = SHARED, None
    spans = [allows_event(visibility, membership, joins_later=last_join > FIRST_POSITION)]
    for time in times:
        visibility = visibilities.get(time, visibility)
        membership = memberships.get(time, membership)
        spans.append(allows_event(visibility, membership, joins_later=last_join > time))
    return spans


def _joined_ranges(times: Sequence[int], spans: Sequence[bool]) -> Iterable[Range]:
    """Readable spans as ranges.

    "The user should be allowed to see the event if the `history_visibility` (his `membership`) before *or* after the
    event would allow them to see it": so a change belongs to the readable spans on both of its sides.
    """
    edges = (FIRST_POSITION, *times, LAST_POSITION)
    for readable, group in groupby(range(len(spans)), key=spans.__getitem__):
        if readable:
            indexes = list(group)
            yield edges[indexes[0]], edges[indexes[-1] + 1]
