"""Syncs that wait: when they end, and how many of them one device may have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from homeserver.services.clock import Clock

DeviceKey = tuple[str, str]

# A client that lost its connection asks again while its old request still waits. More than a few are a fault of the
# client's, and every one of them would cost memory and a share of each wake-up.
MAX_POLLS_OF_DEVICE = 4


@dataclass(slots=True, eq=False)
class Poll:
    """One waiting sync. ``over``: it is to answer now, with whatever there is."""

    over: bool = False
    waiter: asyncio.Future[None] | None = None

    def end(self) -> None:
        """Answer at once."""
        self.over = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


@dataclass(slots=True)
class Polls:
    """Polls by device."""

    clock: Clock
    _by_device: dict[DeviceKey, list[Poll]] = field(default_factory=dict)

    @contextmanager
    def waiting(self, device: DeviceKey, timeout_ms: int) -> Iterator[Poll]:
        """A poll that is over after ``timeout_ms``, or when the device has too many newer ones."""
        poll = Poll()
        polls = self._by_device.setdefault(device, [])
        polls.append(poll)
        if len(polls) > MAX_POLLS_OF_DEVICE:
            polls.pop(0).end()
        timer = asyncio.create_task(self.clock.sleep(ms=timeout_ms))
        timer.add_done_callback(lambda _: poll.end())
        try:
            yield poll
        finally:
            timer.cancel()
            self._remove(device, poll)

    def _remove(self, device: DeviceKey, poll: Poll) -> None:
        polls = self._by_device.get(device)
        if polls is None:
            return
        if poll in polls:
            polls.remove(poll)
        if not polls:
            del self._by_device[device]

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"devices": len(self._by_device), "polls": sum(map(len, self._by_device.values()))}
