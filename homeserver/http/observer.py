"""What the HTTP edge tells about every request it has answered; observability/ makes log lines and metrics of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

UNROUTED = "unrouted"


@dataclass(slots=True)
class Finished:
    """One answered request. `endpoint` is the declared path with its `{parameters}`, fit to be a metrics label."""

    request_id: str
    method: str
    raw_path: str  # without the query: that may hold an access token
    endpoint: str
    status: int
    duration_ms: float
    user_id: str | None
    remote_address: str
    response_bytes: int
    errcode: str | None


class Observer(Protocol):
    """Told once per request, after the answer has been made; must be quick and must not raise."""

    def request_finished(self, finished: Finished) -> None:
        """Count it, write its line."""
        ...


class NoObserver:
    """Tells nobody."""

    __slots__ = ()

    def request_finished(self, finished: Finished) -> None:
        """Do nothing."""
