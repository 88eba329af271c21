"""When and from where devices were seen: noted in memory at every request, written in batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from homeserver.storage.devices import Device, DeviceRows
from homeserver.storage.sessions import Seen

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

FLUSH_INTERVAL_MS = 60_000
MAX_USER_AGENT_CHARACTERS = 512


class LastSeen:
    """What has been seen since the last flush. At most a minute of it is lost with the power."""

    __slots__ = ("_clock", "_pending", "_queries", "_rows")

    def __init__(self, queries: Queries, rows: DeviceRows, clock: Clock) -> None:
        self._queries = queries
        self._rows = rows
        self._clock = clock
        self._pending: dict[int, Seen] = {}

    def note(self, device_nid: int, ip: str, user_agent: str) -> None:
        """Remember that the device made a request now."""
        self._pending[device_nid] = Seen(self._clock.now_ms(), ip, user_agent[:MAX_USER_AGENT_CHARACTERS])

    def apply_to(self, device: Device) -> Device:
        """The device with what is not yet written."""
        seen = self._pending.get(device.device_nid)
        if seen is None:
            return device
        return replace(device, last_seen_ms=seen.at_ms, last_seen_ip=seen.ip, last_seen_user_agent=seen.user_agent)

    async def flush(self) -> None:
        """Write everything in one statement; nothing to do is no statement."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            await self._rows.write_seen(self._queries, pending)
        except BaseException:
            self._pending = {**pending, **self._pending}
            raise

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"devices": len(self._pending)}
