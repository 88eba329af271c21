"""Log lines, metrics, memory report."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.observer import Finished, Observer
from homeserver.observability.endpoints import MemoryEndpoints, MetricsEndpoints
from homeserver.observability.logs import RequestLog
from homeserver.observability.metrics import EventCounts, Metrics, MoreNumbers
from homeserver.observability.request_counts import RequestCounts


@dataclass(frozen=True, slots=True)
class Observability:
    """`observer` is told of every request."""

    observer: Observer
    endpoints: list[Endpoint]


@dataclass(frozen=True, slots=True)
class _Both:
    log: RequestLog
    counts: RequestCounts

    def request_finished(self, finished: Finished) -> None:
        self.counts.request_finished(finished)
        self.log.request_finished(finished)


def build_observability(base: Foundation, settings: Settings, voice: MoreNumbers | None) -> Observability:
    """`voice`: the numbers of whoever forwards calls. `base.life.memory` is read late: services may register after this."""
    memory = MemoryEndpoints(base.life.memory)
    if not settings.metrics.enabled:
        return Observability(RequestLog(), list(endpoints_of(memory)))
    requests, events = RequestCounts(), EventCounts.of(base.server_name)
    base.announcer.on_events(events.count)
    metrics = Metrics(requests, events, base.database, base.announcer, base.life.memory, voice)
    networks = [ipaddress.ip_network(network, strict=False) for network in settings.metrics.allowed_networks]
    endpoints = endpoints_of(memory, MetricsEndpoints(metrics, networks))
    return Observability(_Both(RequestLog(), requests), list(endpoints))
