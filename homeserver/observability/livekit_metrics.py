"""Numbers of LiveKit clusters in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from voice.sfu.livekit.cluster import ClusterNumbers


@dataclass(frozen=True, slots=True)
class LiveKitMetrics:
    """`numbers` by region. Who is in calls is in the memory report; what LiveKit forwards it reports itself."""

    numbers: Callable[[], Mapping[str, ClusterNumbers]]

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        up = GaugeMetricFamily("voicechat_livekit_up", "Whether a LiveKit cluster answers", labels=("region",))
        asked = CounterMetricFamily("voicechat_livekit_requests", "Requests to LiveKit", labels=("region",))
        failed = CounterMetricFamily("voicechat_livekit_failures", "Requests it did not answer", labels=("region",))
        for region, numbers in self.numbers().items():
            up.add_metric((region,), numbers.reachable)
            asked.add_metric((region,), numbers.asked)
            failed.add_metric((region,), numbers.failed)
        yield from (up, asked, failed)
