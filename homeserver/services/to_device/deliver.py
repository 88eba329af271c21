"""What waits for a device that syncs, and the deletion of what it has read.

"When the client calls /sync again with the next_batch token from the first response, the server should infer that any
send-to-device messages in that response have been delivered successfully, and delete them from the store."
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.sync.sources import Letters
from homeserver.services.to_device.letterboxes import MAX_MESSAGES, DeviceName, Letterbox, Letterboxes
from homeserver.storage.positions import StreamPosition
from homeserver.storage.stream_starts import first_position
from homeserver.storage.to_device import ToDeviceMessages

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

# Deletions wait this long for others, so that hundreds of devices that sync are one statement.
FLUSH_INTERVAL_MS = 1000
NO_END = 2**63 - 1
# Clients repeat a request within minutes; a day outlasts every sleeping phone that comes back to it.
TRANSACTIONS_KEPT_MS = 24 * 60 * 60 * 1000


@dataclass(slots=True)
class Deliveries:
    """The source `to_device` of sync. `SendToDevice` fills the same letterboxes and advances the same stream."""

    queries: Queries
    messages: ToDeviceMessages
    letterboxes: Letterboxes
    clock: Clock
    stream: StreamPosition = field(default_factory=lambda: StreamPosition("to_device"))
    _read: dict[DeviceName, int] = field(default_factory=dict)

    async def load(self) -> None:
        """Begin at a position that no token of an earlier start has reached; once, before the first request."""
        self.stream.load(await first_position(self.queries))

    async def pending(self, user_id: str, device_id: str, since: int, to: int, limit: int = 100) -> Letters:
        """What waits in `(since, to]`, oldest first; from memory where the device has asked before."""
        device = (user_id, device_id)
        box = self.letterboxes.get(device) or await self._load(device)
        if box is not None:
            waiting: Sequence[tuple[int, bytes]] = box.between(since, to)
        else:
            since = max(since, self._read.get(device, 0))
            waiting = await self.messages.waiting(self.queries, user_id, device_id, since, to, limit + 1)
        return _letters(waiting, to, limit)

    async def peek(self, user_id: str, device_id: str, since: int, limit: int) -> Letters:
        """The same for a device that does not sync, read from the database and kept there."""
        to = self.stream.current
        waiting = await self.messages.waiting(self.queries, user_id, device_id, since, to, limit + 1)
        return _letters(waiting, to, limit)

    async def _load(self, device: DeviceName) -> Letterbox | None:
        """The device's letterbox with all that waits; None where that is too much to keep in memory."""
        collected = self.letterboxes.begin_loading(device)
        collected.remove_upto(self._read.get(device, 0))
        try:
            # Without an end: what is committed beyond `stream.current` has been put into boxes already, not into this.
            stored = await self.messages.waiting(self.queries, *device, 0, NO_END, MAX_MESSAGES + 1)
        except BaseException:
            self.letterboxes.abandon_loading(device, collected)
            raise
        if len(stored) > MAX_MESSAGES:
            self.letterboxes.abandon_loading(device, collected)
            return None
        self.letterboxes.finish_loading(device, collected, stored)
        return self.letterboxes.get(device)

    async def acknowledge(self, user_id: str, device_id: str, up_to: int) -> None:
        """The device's token says it has read up to here. No statement: what there is to delete goes with `flush`."""
        device = (user_id, device_id)
        up_to = min(up_to, self.stream.current)
        if self.letterboxes.remove_upto(device, up_to) and up_to > self._read.get(device, -1):
            self._read[device] = up_to

    async def flush(self) -> None:
        """Delete what devices have read since the last time, in one statement."""
        if not self._read:
            return
        read = dict(self._read)
        await self.messages.acknowledge(self.queries, [(*device, up_to) for device, up_to in read.items()])
        for device, up_to in read.items():
            if self._read.get(device) == up_to:
                del self._read[device]

    async def tidy(self) -> None:
        """Housekeeping: old transaction ids, and messages that were sent to a device while it was being deleted."""
        await self.messages.prune_transactions(self.queries, self.clock.now_ms() - TRANSACTIONS_KEPT_MS)
        await self.messages.forget_orphans(self.queries)

    async def devices_deleted(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Hook of services/devices.py; the messages went together with the devices."""
        devices = [(user_id, device_id) for device_id in device_ids]
        self.letterboxes.drop(devices)
        for device in devices:
            self._read.pop(device, None)

    def memory_usage(self) -> dict[str, int]:
        """Counts and bytes for the memory report."""
        return {**self.letterboxes.memory_usage(), "read": len(self._read)}


def _letters(waiting: Sequence[tuple[int, bytes]], to: int, limit: int) -> Letters:
    handed_out = waiting[:limit]
    is_all = len(waiting) <= limit
    return Letters([message for _, message in handed_out], to if is_all else handed_out[-1][0])
