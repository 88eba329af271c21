"""Counts and durations of requests by endpoint. On the path of every request: a look-up and five additions."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from homeserver.http.observer import UNROUTED, Finished

BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10_000.0, 60_000.0)
# A request that reached no endpoint may carry any word as its method: that must not become a label.
OTHER_METHOD = "other"


@dataclass(slots=True)
class Tally:
    """All answers of one endpoint since the start. `buckets[i]` counts what took at most `BOUNDS_MS[i]`, and more
    than the bound before; the last one everything above."""

    statuses: dict[int, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    total_ms: float = 0.0
    total_bytes: int = 0


@dataclass(slots=True)
class RequestCounts:
    """An `Observer` that counts. `tallies` are by method and declared path."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)

    def request_finished(self, finished: Finished) -> None:
        """See `Observer`."""
        method = finished.method if finished.endpoint != UNROUTED else OTHER_METHOD
        key = (method, finished.endpoint)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally()
        tally.statuses[finished.status] = tally.statuses.get(finished.status, 0) + 1
        tally.buckets[bisect_left(BOUNDS_MS, finished.duration_ms)] += 1
        tally.total_ms += finished.duration_ms
        tally.total_bytes += finished.response_bytes
