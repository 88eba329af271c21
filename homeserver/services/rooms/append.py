"""Events on their way into a room: what the appender hands to the writer, and what the writer asks about each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from homeserver.protocol.events import Event, StateKey
from homeserver.services.rooms.live_room import Consequences, LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.timeline_gaps import Gap

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


class TipMoved(Exception):  # noqa: N818  (an outcome rather than a mistake)
    """The room's tip is not the one the events were built on: load the room again and rebuild."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """The idempotency key of a client's request, and the transaction id it gets back in `unsigned`."""

    user_id: str
    device_id: str
    key: str
    transaction_id: str
    delayed: bool = False
    """Whether `transaction_id` is the id of a delayed event, which all devices of the sender are told (MSC4140)."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Whom an event notifies: readers with the default rules, and the users for whom it is otherwise."""

    default_notifies: bool = False
    default_highlights: bool = False
    # (user_id, thread_id, notify, highlight)
    exceptions: Sequence[tuple[str, str, bool, bool]] = ()


class NotificationRules(Protocol):
    """Decides, before an event is written, whom it will notify."""

    async def evaluate(self, room: LiveRoom, event: Event) -> Notification: ...


@dataclass(frozen=True, slots=True)
class StateChange:
    """One entry of the room's current state from an event on. `event` None: resolution takes the key away; the id, of an
    event that the same Append writes.
    """

    key: StateKey
    event: TimelineEvent | str | None


@dataclass(frozen=True, slots=True)
class ForkedState:
    """The state before an event that is not on the line, as a row of `forked_states` (decision 0017)."""

    base_position: int | None
    """Inclusive: what came into force at this position counts. None: the position before the event itself."""
    instead: Sequence[int | str]
    """Numbers; the id of an event that the same Append writes, whose number only the writer will know."""
    without: Sequence[int | str]
    """Events (numbers or ids, as above) at whose keys there is nothing, whatever the base has."""


@dataclass(frozen=True, slots=True)
class ForeignPart:
    """What only events of other servers have."""

    flags: int = 0
    """SOFT_FAILED or REJECTED: the event gets no position."""
    stored_nid: int | None = None
    """Its number where it is stored already, as an outlier."""
    changes: Sequence[StateChange] = ()
    """What comes into force with it, beside `self_key`. Where `missing`, at the bottom of the gap, the entry that is then
    replaced by the event itself included.
    """
    self_key: StateKey | None = None
    """The entry that this event itself takes; None where it is no state event, or does not come into force."""
    forked: ForkedState | None = None
    missing: Sequence[str] = ()
    """Prev events that are not here: the timeline has a gap before this event, and positions leap."""


@dataclass(slots=True)
class NewEvent:
    """One event about to be written, with its stored forms."""

    event: Event
    body: bytes
    envelope: bytes
    unsigned: bytes | None = None
    # parent event id, rel_type, aggregation key
    relation: tuple[str, str, str | None] | None = None
    transaction: Transaction | None = None
    auth_nids: Sequence[int | str] | None = None
    """Numbers of its auth events (the id, of an event that the same Append writes); of state events only."""
    foreign: ForeignPart | None = None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A stored event in a new form: redacted, or showing the redacted content of the one before it."""

    event: TimelineEvent
    envelope: bytes


class Also(Protocol):
    """More writes of the same command, in the same transaction (an alias of a new room, ...)."""

    async def __call__(self, q: Queries) -> None: ...


@dataclass(slots=True)
class Append:
    """Events of one room, built on each other, to be committed together."""

    room: LiveRoom
    built_on: int
    new_version: int
    extremities: tuple[str, ...]
    depth: int
    events: list[NewEvent]
    done: asyncio.Future[list[TimelineEvent]]
    rewritten: Sequence[Rewritten] = ()
    also: Also | None = None
    resolved: Mapping[StateKey, Event | None] = field(default_factory=dict)
    """Pending state beside that of `events`: what these bring back or take away (None), in the room's pending_state too."""
    stored: list[TimelineEvent] = field(default_factory=list)
    """The events as they will be read, once they have numbers. `position` of those without one is their number."""
    consequences: dict[int, Consequences] = field(default_factory=dict)
    """By position: what memory has to follow beside an event itself (events of other servers only)."""


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event of the past that fills a gap: see FilledGap."""

    event: Event
    body: bytes
    envelope: bytes
    place: int
    """A free number in the hole: its position, unless the flags say that it has none, and its number, unless it has one."""
    flags: int = 0
    """SOFT_FAILED or REJECTED: the event gets no position. Others are in the timeline."""
    stored_nid: int | None = None
    """Its number where it is stored already, as an outlier."""
    unsigned: bytes | None = None
    relation: tuple[str, str, str | None] | None = None
    auth_nids: Sequence[int | str] | None = None
    """Of state events; the id, of an event of the same call."""
    forked: ForkedState | None = None


@dataclass(frozen=True, slots=True)
class PastChange:
    """An entry of the room's state from a position of the past on. `event`: the id, of an event of the same call."""

    position: int
    key: StateKey
    event: TimelineEvent | str | None


@dataclass(frozen=True, slots=True)
class FilledGap:
    """Older history for the gap `low` to `high`, and what it changes in the room's past (decision 0017, part 3)."""

    gap: Gap
    events: Sequence[PastEvent]
    new_high: int
    """The place of the oldest event put in; `high` where none was."""
    missing: Sequence[str]
    """What its past lacks; empty: the gap is closed."""
    bottom: Sequence[StateChange] = ()
    """Entries at `low` + 1 that are another event (or none) in the state before the oldest event put in."""
    changes: Sequence[PastChange] = ()
    """Entries from `new_high` to `high`: what came into force there. What the event at `high` itself replaces needs none."""
