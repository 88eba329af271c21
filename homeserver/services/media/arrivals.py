"""Who waits for a file that has been announced but not uploaded yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from homeserver.services.clock import Clock


@dataclass(slots=True)
class Arrivals:
    """Wakes downloads when the upload is done."""

    clock: Clock
    _waiting: dict[str, set[asyncio.Future[None]]] = field(default_factory=dict)

    async def wait(self, media_id: str, timeout_ms: int) -> None:
        """Return when the file has arrived, or after `timeout_ms`."""
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(media_id, set()).add(arrival)
        sleep = asyncio.ensure_future(self.clock.sleep(ms=timeout_ms))
        try:
            await asyncio.wait({arrival, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            waiting = self._waiting.get(media_id, set())
            waiting.discard(arrival)
            if not waiting:
                self._waiting.pop(media_id, None)

    def arrived(self, media_id: str) -> None:
        """The file is stored."""
        for arrival in self._waiting.pop(media_id, ()):
            if not arrival.done():
                arrival.set_result(None)
