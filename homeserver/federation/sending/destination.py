"""One server that has something to be told: what waits for it in memory. There is none for all the others."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from homeserver.storage.outbound import DestinationRow

MAX_QUEUED: Final = 500
"""Events kept in memory for one server; what is beyond is read from the database when its turn comes."""
MAX_LATE: Final = 500
MAX_EPHEMERAL: Final = 1000
MAX_KEPT: Final = 50
"""Receipts for a server that cannot be reached."""
MAX_AT_ONCE: Final = 50
"""Events of a transaction, as the specification has it; of other things no more than that either."""

Edu = dict[str, Any]


@dataclass(slots=True)
class Destination:
    """`row` says how far it is; `queued` has (position, event id) of all that is wanted unless `behind`."""

    row: DestinationRow
    behind: bool = False
    queued: list[tuple[int, str]] = field(default_factory=list)
    missed: list[tuple[int, str]] = field(default_factory=list)
    """While it is behind: what was read from the database and is not sent yet."""
    missed_up_to: int = 0
    """`missed` has everything up to here; 0: nothing was read."""
    late: list[tuple[int, str]] = field(default_factory=list)
    """Events from before it came into their room, which it gets all the same (sticky_backlog.py); they go first."""
    to_device: bool = False
    """Messages for its devices wait in the database."""
    ephemeral: dict[tuple[str, ...], Edu] = field(default_factory=dict)
    """Typing, receipts, presence: by what a newer one replaces."""
    limit: int = MAX_AT_ONCE
    """Of each kind in a transaction; fewer where it has refused one. 1: a single thing."""
    task: asyncio.Task[bool] | None = None
    due_ms: int | None = None
    """When it is tried again; until then it is left alone."""
    failures: int = 0
    woken_ms: int | None = None
    """When it was last tried before its time, because it spoke."""

    def want(self, position: int, event_id: str) -> None:
        """One more event; nearly always newer than all before."""
        row = self.row
        row.wanted_position = max(row.wanted_position, position)
        if self.behind:
            if position <= self.missed_up_to:
                insort(self.missed, (position, event_id))
        elif len(self.queued) >= MAX_QUEUED:
            self.fall_behind()
        else:
            insort(self.queued, (position, event_id))

    def want_late(self, events: Sequence[tuple[int, str]]) -> None:
        """Older events, in order; `row` says nothing of them."""
        self.late = [*self.late, *(each for each in events if each not in self.late)][-MAX_LATE:]

    def fall_behind(self) -> None:
        """What is wanted is read from the database."""
        self.queued.clear()
        self.missed.clear()
        self.missed_up_to = 0
        self.behind = self.row.wanted_position > self.row.sent_position

    def say(self, key: tuple[str, ...], edu: Edu) -> None:
        """Something ephemeral. The oldest goes where there is too much."""
        self.ephemeral.pop(key, None)
        if len(self.ephemeral) >= (MAX_EPHEMERAL if self.due_ms is None else MAX_KEPT):
            del self.ephemeral[next(iter(self.ephemeral))]
        self.ephemeral[key] = edu

    def forget_what_passes(self) -> None:
        """It cannot be reached: who types there by then, nobody knows. Some receipts are kept."""
        receipts = [(key, edu) for key, edu in self.ephemeral.items() if key[0] == "m.receipt"]
        self.ephemeral = dict(receipts[-MAX_KEPT:])

    @property
    def has_something(self) -> bool:
        row = self.row
        return bool(
            self.behind
            or self.queued
            or self.late
            or self.to_device
            or self.ephemeral
            or row.wanted_devices > row.sent_devices
        )


def presence_edu(user_id: str, content: Mapping[str, Any]) -> Edu:
    """What others are shown of a user now."""
    return {"edu_type": "m.presence", "content": {"push": [{"user_id": user_id, "last_active_ago": 0, **content}]}}
