"""What is loaded of a room while arrivals are decided, and what is found to be lacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeserver.protocol.events import Event
from homeserver.protocol.state_res import Conflict, KnownAuth, Overlay
from homeserver.services.foreign_events.redaction_targets import RedactionTarget
from homeserver.services.foreign_events.room_states import Marker
from homeserver.services.foreign_events.views import View
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.event_states import Place

Fork = frozenset[str]
"""Events whose states are resolved together."""


@dataclass(frozen=True, slots=True)
class LargeConflict:
    """One that is better settled while others go on. `events`: all that this needs."""

    fork: Fork
    conflict: Conflict
    events: Mapping[str, Event]


class Unfounded(Exception):  # noqa: N818  (an outcome rather than a mistake)
    """What the event rests on is not here: nothing can be said about it, and it is not kept."""


class Lacking(Exception):  # noqa: N818  (an outcome rather than a mistake)
    """Deciding needs more than is in memory. The caller loads it and decides again."""

    def __init__(
        self,
        *,
        events: set[str] | None = None,
        places: set[str] | None = None,
        links: set[str] | None = None,
        states: set[str] | None = None,
        entries: set[str] | None = None,
        numbers: set[str] | None = None,
        fork: LargeConflict | None = None,
    ) -> None:
        super().__init__("not all of it is loaded")
        self.events = events or set()
        """Events with all their fields."""
        self.places = places or set()
        """Events that were the room's tip, and are that no more."""
        self.links = links or set()
        """Events whose auth chains are not in the auth graph."""
        self.states = states or set()
        """Events the state after which is not known."""
        self.entries = entries or set()
        """Events that come into force."""
        self.numbers = numbers or set()
        """Events whose numbers are needed; those of them that are being committed will have one afterwards."""
        self.fork = fork
        """A conflict too large to be settled while everybody waits."""


@dataclass(slots=True)
class Knowledge:
    """Filled by the loader, read by the decider. What depends on the room's state holds for that which `marker` names:
    `places` (whether they are settled), `after`, `before`, `resolved`, `absent`.
    """

    auth: KnownAuth
    prepared: bool = False
    """Whether what is needed in any case has been loaded."""
    places: dict[str, Place] = field(default_factory=dict)
    tip: frozenset[str] = frozenset()
    """The room's extremities when that was done, which are not looked up. Own sends move the tip without changing the
    state: that these are not among `places` says nothing.
    """
    redacted_by: dict[str, list[str]] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    """Events that were looked for in vain: a state that was told may name what nobody has. One that is being committed is
    among them for a moment.
    """
    numbers: dict[str, int] = field(default_factory=dict)
    entries: dict[str, TimelineEvent] = field(default_factory=dict)
    targets: dict[str, RedactionTarget] = field(default_factory=dict)
    marker: Marker = ()
    after: dict[str, View] = field(default_factory=dict)
    before: dict[str, View] = field(default_factory=dict)
    """Of redactions that have waited for one of the arrivals."""
    resolved: dict[Fork, Overlay] = field(default_factory=dict)
    linked: int | None = None
    """The room's state of which the auth graph has everything, by its count of changes."""
    not_in_thread: set[Fork] = field(default_factory=set)

    def follow(self, marker: Marker) -> None:
        """What is relative to the room's state is void when that has changed."""
        if marker != self.marker:
            self.prepared = False
            self.places.clear()
            self.after.clear()
            self.before.clear()
            self.resolved.clear()
            self.absent.clear()
            self.linked = None
            self.marker = marker
