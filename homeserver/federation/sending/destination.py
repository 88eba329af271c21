"""One server that has something to be told: what waits for it in memory. There is none for all the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from homeserver.storage.outbound import DestinationRow

MAX_QUEUED: Final = 500
"""Events kept in memory for one server; what is beyond is read from the database when its turn comes."""
MAX_EPHEMERAL: Final = 1000

Edu = dict[str, Any]


@dataclass(slots=True)
class Destination:
    """`row` says how far it is; `queued` has (position, event id) of all that is wanted unless `behind`."""

    row: DestinationRow
    behind: bool = False
    queued: list[tuple[int, str]] = field(default_factory=list)
    to_device: bool = False
    """Messages for its devices wait in the database."""
    ephemeral: dict[tuple[str, ...], Edu] = field(default_factory=dict)
    """Typing, receipts, presence: by what a newer one replaces."""
    task: asyncio.Task[bool] | None = None
    due_ms: int | None = None
    """When it is tried again, where that is fixed."""
    failures: int = 0

    def want(self, position: int, event_id: str) -> None:
        """One more event, newer than all before."""
        self.row.wanted_position = position
        if self.behind:
            return
        if len(self.queued) >= MAX_QUEUED:
            self.fall_behind()
        else:
            self.queued.append((position, event_id))

    def fall_behind(self) -> None:
        """What is wanted is read from the database; what is ephemeral is over by then, but for receipts."""
        self.queued.clear()
        self.behind = self.row.wanted_position > self.row.sent_position

    def say(self, key: tuple[str, ...], edu: Edu) -> None:
        """Something ephemeral. The oldest goes where there is too much."""
        self.ephemeral.pop(key, None)
        if len(self.ephemeral) >= MAX_EPHEMERAL:
            del self.ephemeral[next(iter(self.ephemeral))]
        self.ephemeral[key] = edu

    def forget_what_passes(self) -> None:
        """It cannot be reached: who types there by then, nobody knows."""
        for key in [key for key in self.ephemeral if key[0] != "m.receipt"]:
            del self.ephemeral[key]

    @property
    def has_something(self) -> bool:
        row = self.row
        return bool(
            self.behind or self.queued or self.to_device or self.ephemeral or row.wanted_devices > row.sent_devices
        )
