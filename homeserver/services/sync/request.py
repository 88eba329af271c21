"""What one sync asks for."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol.filters import Filter
from homeserver.services.requester import Requester
from homeserver.services.tokens import StreamToken

# "Servers should apply a default value, and impose a maximum value to avoid resource exhaustion."
DEFAULT_TIMELINE_EVENTS = 10
MAX_TIMELINE_EVENTS = 100
MAX_TIMEOUT_MS = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A sync of one device. ``since`` None: from the beginning."""

    requester: Requester
    filter: Filter
    since: StreamToken | None = None
    timeout_ms: int = 0
    full_state: bool = False
    set_presence: str = "online"
    state_after: tuple[str, ...] = ()
    """The keys under which state at the end of the timeline is wanted; empty: `state`, at its start."""

    @property
    def user_id(self) -> str:
        return self.requester.user_id

    @property
    def timeline_limit(self) -> int:
        return self.filter.room.timeline.limit_within(DEFAULT_TIMELINE_EVENTS, MAX_TIMELINE_EVENTS)

    @property
    def may_wait(self) -> bool:
        """ "In this case (`full_state`), the `timeout` parameter will be ignored"; an initial sync has news anyway."""
        return self.since is not None and not self.full_state and self.timeout_ms > 0
