"""Syncs that wait: when they end, and how many of them one device may have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from homeserver.services.clock import Clock

log = logging.getLogger(__name__)

DeviceKey = tuple[str, str]

# A client that lost its connection asks again while its old request still waits. More than a few are a fault of the
# client's, and every one of them would cost memory and a share of each wake-up.
MAX_POLLS_OF_DEVICE = 4
# Whoever waits is there: presence hears of him this often.
STILL_THERE_INTERVAL_MS = 60_000

StillThere = Callable[[], Awaitable[None]]


async def _nobody_cares() -> None:
    """What waits for others than its user."""


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


def _time_is_over(poll: Poll, timer: asyncio.Task[None]) -> None:
    if not timer.cancelled() and timer.exception() is not None:
        log.warning("a sync ends early: presence could not be renewed: %s", timer.exception())
    poll.end()


@dataclass(slots=True)
class Polls:
    """Polls by device."""

    clock: Clock
    most: int = MAX_POLLS_OF_DEVICE
    _by_device: dict[DeviceKey, list[Poll]] = field(default_factory=dict)

    @contextmanager
    def waiting(
        self, device: DeviceKey, timeout_ms: int, still_there: StillThere = _nobody_cares
    ) -> Iterator[Poll]:  # fmt: skip
        """A poll that is over after ``timeout_ms``, or when the device has too many newer ones.

        ``still_there`` is called now and then while it waits.
        """
        poll = Poll()
        polls = self._by_device.setdefault(device, [])
        polls.append(poll)
        if len(polls) > self.most:
            polls.pop(0).end()
        timer = asyncio.create_task(self._time(timeout_ms, still_there))
        timer.add_done_callback(partial(_time_is_over, poll))
        try:
            yield poll
        finally:
            timer.cancel()
            self._remove(device, poll)

    def end(self, device: DeviceKey) -> None:
        """Whatever waits there answers at once."""
        for poll in list(self._by_device.get(device, ())):
            poll.end()

    async def end_user(self, user_id: str) -> None:
        """The same on all devices of a user."""
        for device in [device for device in self._by_device if device[0] == user_id]:
            self.end(device)

    async def _time(self, timeout_ms: int, still_there: StillThere) -> None:
        while timeout_ms > STILL_THERE_INTERVAL_MS:
            await self.clock.sleep(ms=STILL_THERE_INTERVAL_MS)
            timeout_ms -= STILL_THERE_INTERVAL_MS
            await still_there()
        await self.clock.sleep(ms=timeout_ms)

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
