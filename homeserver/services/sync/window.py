"""One room's part of an answer while it is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from homeserver.protocol.visibility import FIRST_POSITION, LAST_POSITION, Range
from homeserver.services.relations.aggregations import Shown
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.visibility import Perspective
from homeserver.storage.memberships import Membership


@dataclass(slots=True)
class Window:
    """The part of a room's timeline that one sync shows, and what goes with it.

    Asked: events with ``after < position <= up_to``, and state: all of it, or what changed since ``since``.
    """

    membership: Membership
    live: LiveRoom | None
    after: int
    up_to: int
    since: int | None = None
    """The reader knows the state as of here; None: he is to get all of it."""
    newly_joined: bool = False
    """Joined since the last sync: whatever the client remembers of the room has a gap before this window."""
    limit: int | None = None
    """The most events of its timeline, where that is its own."""
    perspective: Perspective | None = None
    """The reader's view, where his memberships within the window are not simply "join"."""

    events: list[TimelineEvent] = field(default_factory=list)
    """The timeline, oldest first."""
    limited: bool = False
    start: int = FIRST_POSITION
    """The timeline holds what the reader may see and wants of everything after this position."""
    passed_state: list[TimelineEvent] = field(default_factory=list)
    """State events after ``start`` which the timeline does not show."""
    saw_members: bool = False
    """Whether a membership, name or alias may have changed within the window."""
    state: list[TimelineEvent] = field(default_factory=list)
    sticky: list[TimelineEvent] = field(default_factory=list)
    """What sticks and is not in the timeline, oldest first."""

    def begin_again(self, perspective: Perspective) -> None:
        """Empty the timeline: it is to be read as the reader may see it."""
        self.perspective = perspective
        self.events, self.passed_state = [], []
        self.limited = self.saw_members = False
        self.start = FIRST_POSITION

    @property
    def room_id(self) -> str:
        return self.membership.room_id

    @property
    def room_nid(self) -> int:
        return self.membership.room_nid

    @property
    def full(self) -> bool:
        return self.since is None

    @property
    def prev_batch(self) -> int:
        """The position just before the timeline."""
        if self.start > FIRST_POSITION:
            return self.start
        return self.events[0].position - 1 if self.events else self.up_to

    @property
    def is_cut(self) -> bool:
        """Whether events before the timeline are not told: then those in it are told with what relates to them."""
        return self.limited or self.full or self.newly_joined

    @property
    def shown(self) -> Shown:
        """The timeline, and what the reader sees of the room beside it: of what came before no more than is sure."""
        if self.perspective is not None:
            ranges: Sequence[Range] = self.perspective.history.ranges
        else:
            first = self.events[0].position if self.events else self.up_to
            ranges = ((first, LAST_POSITION if self.membership.membership == "join" else self.up_to),)
        return Shown(self.events, ranges, self.membership_at)

    def membership_at(self, position: int) -> str | None:
        """The reader's membership when an event was sent; None where that is not known without asking."""
        if self.perspective is not None:
            return self.perspective.membership_at(position)
        if position >= self.membership.position:
            return self.membership.membership
        # Whoever syncs a room incrementally, and did not newly join it, has been in it since then.
        return "join" if self.since is not None and position > self.since else None
