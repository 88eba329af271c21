"""All numbers in the form that Prometheus reads. Nothing is kept in that form: it is made when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from homeserver.observability.process import processor_seconds, resident_bytes
from homeserver.observability.request_counts import BOUNDS_MS, RequestCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.metrics_core import Metric

    from homeserver.services.announcer import Announcer
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Database

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
MemoryUsage = Callable[[], Mapping[str, int]]


@dataclass(slots=True)
class EventCounts:
    """Events since the start, by where they came from: two time series, whatever types people invent."""

    local: int = 0
    remote: int = 0
    _suffix: str = field(default="")

    @staticmethod
    def of(server_name: str) -> EventCounts:
        """Local is who has this server's name."""
        return EventCounts(_suffix=f":{server_name}")

    def count(self, events: Sequence[TimelineEvent]) -> None:
        """A listener of the announcer."""
        for event in events:
            if event.sender.endswith(self._suffix):
                self.local += 1
            else:
                self.remote += 1


# Compared by identity, as the registry keeps its collectors in a dictionary.
class MoreNumbers(Protocol):
    """Of a part that knows its own: the voice workers, or LiveKit."""

    def collect(self) -> Iterator[Metric]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """Where the numbers are."""

    requests: RequestCounts
    events: EventCounts
    database: Database
    announcer: Announcer
    memory: Mapping[str, MemoryUsage]
    voice: MoreNumbers | None = None

    def exposition(self) -> bytes:
        """The text of `/metrics`."""
        # Here and not above: half of all servers are never asked, and should not carry the library.
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def describe(self) -> list[Metric]:
        """Asked by the registry before the first `collect`: nothing to declare beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every number, by family."""
        yield from self._of_requests()
        yield from self._of_services()
        yield from self._of_the_database()
        if self.voice is not None:
            yield from self.voice.collect()
        yield _gauge("process_resident_memory_bytes", "Memory of this process", resident_bytes())
        yield _counter("process_cpu_seconds", "Processor time of this process", processor_seconds())

    def _of_requests(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

        labels = ("method", "endpoint")
        answers = CounterMetricFamily("voicechat_responses", "Answers by status", labels=(*labels, "status"))
        sent = CounterMetricFamily("voicechat_response_bytes", "Bytes of answers", labels=labels)
        seconds = HistogramMetricFamily("voicechat_request_seconds", "Time until the answer was made", labels=labels)
        for key, tally in list(self.requests.tallies.items()):
            for status, number in tally.statuses.items():
                answers.add_metric((*key, str(status)), number)
            sent.add_metric(key, tally.total_bytes)
            bounds = [*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf"]
            seconds.add_metric(key, list(zip(bounds, accumulate(tally.buckets), strict=True)), tally.total_ms / 1000)
        yield from (answers, sent, seconds)

    def _of_services(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        events = CounterMetricFamily("voicechat_events", "Events committed since the start", labels=("origin",))
        events.add_metric(("local",), self.events.local)
        events.add_metric(("remote",), self.events.remote)
        held = GaugeMetricFamily("voicechat_held", "What services hold in memory", labels=("service", "what"))
        for service, usage in self.memory.items():
            for what, number in usage().items():
                held.add_metric((service, what), number)
        yield from (events, held)
        yield _gauge("voicechat_syncs_waiting", "Syncs that wait for news", self.announcer.waiting)

    def _of_the_database(self) -> Iterator[Metric]:
        pool = self.database.pool
        yield _counter("voicechat_sql_statements", "Statements sent to PostgreSQL", self.database.statements)
        yield _gauge("voicechat_sql_connections", "Open connections", pool.open_connections)
        yield _gauge("voicechat_sql_connections_in_use", "Connections in use", pool.in_use)
        yield _gauge("voicechat_sql_waiting", "Tasks that wait for a connection", pool.waiting)


def _gauge(name: str, doc: str, value: float) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(name, doc, value=value)


def _counter(name: str, doc: str, value: float) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily

    return CounterMetricFamily(name, doc, value=value)
