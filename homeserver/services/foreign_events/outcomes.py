"""What becomes of an event of another server, and how an event is known here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from homeserver.protocol.events import Event, StateMap


class Outcome(Enum):
    """Server-server API, "Checks performed on receipt of a PDU". Steps 1 to 3 are over before: what fails there is dropped."""

    ACCEPTED = "accepted"
    SOFT_FAILED = "soft_failed"
    """Allowed where it stands in the graph, but not by the room's current state (6): not shown, not built on."""
    REJECTED = "rejected"
    """Not allowed by its auth events (4) or by the state before it (5): kept so that it is not asked for again."""
    UNDECIDED = "undecided"
    """What it is built on could not be had: it is not kept, and may be sent again."""
    KNOWN = "known"
    """It is here already; nothing was done."""
    OUTLIER = "outlier"
    """Allowed by its auth events, and kept as state or auth event only."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One event's outcome. `reason`: for the log and for the answer to who sent it."""

    event_id: str
    outcome: Outcome
    reason: str = ""


class Standing(Enum):
    """How a stored event is known."""

    IN_TIMELINE = "in_timeline"
    OUTLIER = "outlier"
    SOFT_FAILED = "soft_failed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ToldState:
    """The room state after an event we do not have, as another server told it. All events of it are stored."""

    after_event_id: str
    state: StateMap[str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that has a valid format, signatures and hash (steps 1 to 3; redacted where the hash did not fit).

    All its auth events are stored. Its prev events are stored, or come before it in the same call, or have a ToldState.
    """

    event: Event
    told: tuple[ToldState, ...] = ()
    unwanted: str | None = None
    """Why the room's policy server does not recommend it; None where it does, or there is none."""
