"""What one pusher still has to send, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from homeserver.protocol.push_rules import Action
    from homeserver.services.push.notification import Told

MAX_ENTRIES: Final = 100
"""Of a phone whose gateway is away: it is told of the newest, and of how many there are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that notifies the pusher's user. `told` is shared by all its readers."""

    told: Told
    action: Action


@dataclass(slots=True)
class Waiting:
    """Of one pusher, by its number. `badge`: a number that has to be told without any event."""

    pusher_nid: int
    entries: deque[Entry] = field(default_factory=deque)
    badge: int | None = None
    told_badge: int | None = None
    """The number that was told last; None before the first."""
    failures: int = 0
    due_ms: int | None = None
    """When it is tried again; until then it is left alone."""
    stored_behind: int | None = None
    dropped: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def has_something(self) -> bool:
        return bool(self.entries) or self.badge is not None

    @property
    def behind(self) -> int | None:
        """Events up to here have been sent; None for all of them."""
        return self.entries[0].told.position - 1 if self.entries else None

    def add(self, entry: Entry) -> None:
        """One more event. The oldest goes where there are too many."""
        if len(self.entries) >= MAX_ENTRIES:
            self.entries.popleft()
            self.dropped += 1
        self.entries.append(entry)

    def drop(self, is_void: Callable[[Told], bool]) -> None:
        """Events that nobody has to be told of any longer. What is on its way stays: it is taken out when it has arrived."""
        kept = [each for each in self.entries if not is_void(each.told)]
        if len(kept) < len(self.entries):
            self.dropped += len(self.entries) - len(kept)
            self.entries = deque(kept)
