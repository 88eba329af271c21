"""Crowds at one SFU, and what a stretch of time with them cost it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.voice.load.crowd import Crowd, Person, Results
from bench.voice.load.sfus import Cpu, Sfu, cpu_of, dropped_by_full_sockets, memory_mb

_SLICE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU figures are of the SFU's process alone; times in ms."""

    seconds: float
    cpu: Cpu
    best_share: float
    """Of a core, in the cheapest two seconds: what the code costs when others leave the machine alone."""
    forwarded: int
    lost: int
    streams: int
    added_p50: float
    added_p99: float
    added_worst: float
    mean_jitter: float
    worst_jitter: float
    memory_mb: float
    crowd_cpu: float
    """Busiest process of the load, as a share of a core."""
    full_sockets: int
    """Datagrams the kernel dropped anywhere on the machine because somebody did not read."""
    load_average: float

    @property
    def us_each(self) -> float:
        return self.cpu.both / self.forwarded * 1e6 if self.forwarded else 0.0

    @property
    def best_us(self) -> float:
        return self.best_share * self.seconds / self.forwarded * 1e6 if self.forwarded else 0.0

    @property
    def row(self) -> str:
        rate = self.forwarded / self.seconds
        return (
            f"{self.seconds:.0f} s | {rate:,.0f} | {self.cpu.both / self.seconds * 100:.0f} % | "
            f"{self.us_each:.2f} / {self.best_us:.2f} | {self.cpu.system / max(0.01, self.cpu.both) * 100:.0f} % | "
            f"{self.lost} of {self.forwarded:,} | {self.added_p50:.2f} / {self.added_p99:.2f} / {self.added_worst:.1f} | "
            f"{self.mean_jitter:.2f} / {self.worst_jitter:.2f} | {self.memory_mb:.0f} | {self.crowd_cpu * 100:.0f} % | "
            f"{self.load_average:.1f}"
        )


HEADER = (
    "| what | SFU | time | forwarded/s | CPU | us each / best 2 s | kernel | lost | added ms p50 / p99 / worst | "
    "jitter ms mean / worst stream | RSS MB | load's CPU | load average |\n|" + "---|" * 13
)


@dataclass(slots=True)
class Load:
    """Who talks is in the first crowd, where that is one of its own."""

    sfu: Sfu
    crowds: list[Crowd]
    _members: list[list[str]] = field(default_factory=list)

    async def join(self, people: Sequence[Sequence[Person]], within: float = 0.0) -> list[float]:
        """One sequence for each crowd, one crowd after another. Seconds each needed to connect."""
        took: list[float] = []
        for room in {person.room for crowd in people for person in crowd}:
            await self.sfu.open_room(room)
        for crowd, members in zip(self.crowds, people, strict=True):
            took += await crowd.do("join", self.sfu.door, members, within)
            self._members.append([person.identity for person in members])
        return took

    async def settle(self, timeout: float = 60) -> float:
        return max(await asyncio.gather(*(crowd.do("settle", timeout) for crowd in self.crowds)))

    async def count(self) -> None:
        for crowd in self.crowds:
            await crowd.do("count")

    async def talk(self, identities: Sequence[str]) -> None:
        for crowd, members in zip(self.crowds, self._members, strict=True):
            await crowd.do("talk", [who for who in identities if who in members])

    async def measure(self, seconds: float, warm_up: float = 2.0) -> Measured:
        await asyncio.sleep(warm_up)
        full = dropped_by_full_sockets()
        await asyncio.gather(*(crowd.do("begin") for crowd in self.crowds))
        self.sfu.begin()
        cpu, begun = cpu_of(self.sfu.pid), time.monotonic()
        best = await self._best_share(begun + seconds)
        cpu, spent = cpu_of(self.sfu.pid) - cpu, time.monotonic() - begun
        results = await asyncio.gather(*(crowd.do("results") for crowd in self.crowds))
        return _sum(results, spent, cpu, best, memory_mb(self.sfu.pid), dropped_by_full_sockets() - full)

    async def _best_share(self, end: float) -> float:
        """Wait until then."""
        best = 1e9
        while (left := end - time.monotonic()) > 0:
            before, begun = cpu_of(self.sfu.pid), time.monotonic()
            await asyncio.sleep(min(_SLICE_SECONDS, left))
            if left >= _SLICE_SECONDS:
                best = min(best, (cpu_of(self.sfu.pid) - before).both / (time.monotonic() - begun))
        return best


def _sum(results: Sequence[Results], seconds: float, cpu: Cpu, best: float, memory: float, full: int) -> Measured:
    counted = [result.counted for result in results]
    latencies = np.concatenate([one.latencies for one in counted])
    if not len(latencies):
        latencies = np.zeros(1)
    streams = sum(one.streams for one in counted)
    return Measured(
        seconds,
        cpu,
        best,
        sum(one.received for one in counted),
        sum(one.lost for one in counted),
        streams,
        float(np.quantile(latencies, 0.5)),
        float(np.quantile(latencies, 0.99)),
        float(latencies.max()),
        sum(one.mean_jitter * one.streams for one in counted) / max(1, streams),
        max(one.worst_jitter for one in counted),
        memory,
        max(result.cpu_seconds for result in results) / seconds,
        full,
        os.getloadavg()[0],
    )


@asynccontextmanager
async def load(sfu: Sfu, crowds: int = 1) -> AsyncIterator[Load]:
    made = Load(sfu, [Crowd() for _ in range(crowds)])
    try:
        yield made
    finally:
        await asyncio.gather(*(crowd.close() for crowd in made.crowds))


def quantiles(seconds: Sequence[float]) -> Any:
    ordered = sorted(seconds)
    return tuple(round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000) for share in (0.5, 0.95, 1.0))
