"""A large state that is read by key only, and the few changes to it: nothing is copied, nothing walked through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeserver.protocol.events import StateKey

ReadState = Callable[[StateKey], str | None]
"""`read(key)`: the id of that state event, None where there is none."""


@dataclass(slots=True)
class LayeredState:
    """`changes` over what `read` finds."""

    read: ReadState
    changes: dict[StateKey, str] = field(default_factory=dict)

    def get(self, key: StateKey) -> str | None:
        """The event id at a key."""
        return self.changes.get(key) or self.read(key)


def nothing(key: StateKey) -> str | None:
    """The empty state."""
    return None
