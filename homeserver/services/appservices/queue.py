"""What one application service still has to be told, as far as it is in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.storage.appservices import Progress, StoredTransaction

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.rooms.timeline_event import TimelineEvent

MAX_EVENTS: Final = 1000
"""What is beyond is read from the database when its turn comes."""
MAX_EPHEMERAL: Final = 1000
MAX_LISTS: Final = 10_000
DeviceName = tuple[str, str]
Edu = dict[str, Any]


@dataclass(slots=True)
class Queue:
    """`progress`: up to there everything is in transactions, or is no concern of this application service."""

    appservice: Appservice
    progress: Progress
    events: deque[TimelineEvent] = field(default_factory=deque)
    behind: bool = False
    """What comes after `progress` and `missed` is read from the database; `events` is empty."""
    missed: deque[TimelineEvent] = field(default_factory=deque)
    """What was read from there; it goes before `events`."""
    missed_up_to: int = 0
    ephemeral: dict[tuple[str, ...], Edu] = field(default_factory=dict)
    """Typing, receipts, presence: by what a newer one replaces."""
    lists: dict[str, None] = field(default_factory=dict)
    """Users whose devices or keys changed."""
    counts: dict[DeviceName, None] = field(default_factory=dict)
    """Its own devices, the number of whose keys changed."""
    letters: dict[DeviceName, None] = field(default_factory=dict)
    """Its own devices for which messages wait."""
    under_way: StoredTransaction | None = None
    """Stored, and not acknowledged."""
    arrived: str | None = None
    """The id of the one that is acknowledged, and still stored."""
    task: asyncio.Task[None] | None = None
    due_ms: int | None = None
    """When it is tried again; until then it is left alone."""
    failures: int = 0
    delivered: int = 0
    """Transactions since the start."""

    def want(self, event: TimelineEvent) -> None:
        """One more event, newer than all before."""
        if self.behind:
            return
        if len(self.events) >= MAX_EVENTS:
            self.fall_behind()
        else:
            self.events.append(event)

    def fall_behind(self) -> None:
        """Events are read from the database, as they are by then."""
        self.behind = True
        self.events.clear()
        self.missed.clear()

    def say(self, key: tuple[str, ...], edu: Edu) -> None:
        """Something ephemeral. The oldest goes where there is too much."""
        self.ephemeral.pop(key, None)
        if len(self.ephemeral) >= MAX_EPHEMERAL:
            del self.ephemeral[next(iter(self.ephemeral))]
        self.ephemeral[key] = edu

    def list_changed(self, user_id: str) -> None:
        """A user whose keys it may know. The oldest goes where there are too many."""
        if len(self.lists) >= MAX_LISTS and user_id not in self.lists:
            del self.lists[next(iter(self.lists))]
        self.lists[user_id] = None

    def forget_what_passes(self) -> None:
        """It cannot be reached: who types by then, nobody knows."""
        self.ephemeral = {key: edu for key, edu in self.ephemeral.items() if key[0] == "m.receipt"}

    @property
    def has_something(self) -> bool:
        return bool(
            self.under_way
            or self.arrived
            or self.behind
            or self.missed
            or self.events
            or self.ephemeral
            or self.lists
            or self.counts
            or self.letters
        )

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report and the metrics: how much waits, since how many failures."""
        return {
            "events": len(self.events) + len(self.missed),
            "ephemeral": len(self.ephemeral),
            "behind": int(self.behind),
            "failures": self.failures,
            "delivered": self.delivered,
        }

    @property
    def is_idle(self) -> bool:
        """Whether everything up to now has been told, so that progress may follow what concerns it not."""
        return not (self.behind or self.missed or self.events or self.lists)
