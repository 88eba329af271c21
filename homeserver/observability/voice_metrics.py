"""Numbers of the voice workers in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from voice.sfu.embedded.control import Numbers

_HELD: Final = {
    "rooms": "Rooms of calls",
    "participants": "People in calls",
    "resident_bytes": "Memory of a voice worker",
}
_DONE: Final = {
    "received": ("packets_received", "Media packets from clients"),
    "sent": ("packets_forwarded", "Media packets to clients"),
    "dropped": ("packets_dropped", "Media packets that could not be sent"),
    "bad": ("packets_bad", "Packets that nobody can have meant"),
    "processor_seconds": ("cpu_seconds", "Processor time of a voice worker"),
}


@dataclass(frozen=True, slots=True)
class VoiceMetrics:
    """`numbers` are the last ones of each running worker: a few seconds old, so that reading them waits for nobody."""

    numbers: Callable[[], Mapping[int, Numbers]]
    deaths: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        workers = self.numbers()
        yield GaugeMetricFamily("voicechat_voice_workers", "Voice workers that run", value=len(workers))
        yield CounterMetricFamily("voicechat_voice_workers_lost", "Voice workers that died", value=self.deaths())
        for name, doc in _HELD.items():
            held = GaugeMetricFamily(f"voicechat_voice_{name}", doc, labels=("worker",))
            for worker, numbers in workers.items():
                held.add_metric((str(worker),), getattr(numbers, name))
            yield held
        for name, (shown, doc) in _DONE.items():
            done = CounterMetricFamily(f"voicechat_voice_{shown}", doc, labels=("worker",))
            for worker, numbers in workers.items():
                done.add_metric((str(worker),), getattr(numbers, name))
            yield done
