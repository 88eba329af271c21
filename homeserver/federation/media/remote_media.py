"""`services.media.remote.OtherServersMedia`: from the cache, or fetched; never the same file twice at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.federation.bounded import Bounded
from homeserver.federation.errors import DestinationPaused, to_remember
from homeserver.federation.media.slots import Slots
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.errors import ConnectionTimeout, MatrixError, NotFound, NotYetUploaded, Unavailable
from homeserver.protocol.identifiers import is_server_name

if TYPE_CHECKING:
    from homeserver.federation.media.asking import AskForMedia
    from homeserver.federation.media.cache import RemoteCache
    from homeserver.services.clock import Clock
    from homeserver.services.media.downloads import FoundFile

FETCHES_AT_ONCE: Final = 32
FETCHES_PER_SERVER: Final = 6
MAX_WAITING: Final = 1_000
TIME_LIMIT_S: Final = 15 * 60.0
"""For one file, waiting for others included."""
FAILED_MS: Final = 60_000
MAX_FAILURES: Final = 10_000
# "MUST only consist of `[A-Za-z0-9_-]`": client-server API, "Matrix Content (`mxc://`) URIs".
_MEDIA_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True, slots=True)
class _Failure:
    error: MatrixError
    until_ms: int


def _failures() -> Bounded[tuple[str, str], _Failure]:
    return Bounded(MAX_FAILURES)


def _slots() -> Slots:
    return Slots(FETCHES_AT_ONCE, FETCHES_PER_SERVER)


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """`find` is the only verb."""

    asking: AskForMedia
    cache: RemoteCache
    clock: Clock
    time_limit_s: float = TIME_LIMIT_S
    _slots: Slots = field(default_factory=_slots)
    _fetching: SingleFlight[FoundFile] = field(default_factory=SingleFlight)
    _failed: Bounded[tuple[str, str], _Failure] = field(default_factory=_failures)

    async def find(self, server_name: str, media_id: str, timeout_ms: int) -> FoundFile:
        """Raises NotFound, NotYetUploaded, TooLarge, ConnectionFailed, ConnectionTimeout, BadGateway, Unavailable."""
        if not is_server_name(server_name) or not _MEDIA_ID.fullmatch(media_id):
            raise NotFound("There is no such file")
        found = await self.cache.get(server_name, media_id)
        if found is not None:
            return found
        failure = self._failed.get((server_name, media_id))
        if failure is not None and self.clock.now_ms() < failure.until_ms:
            raise failure.error.with_traceback(None)
        if len(self._fetching) >= MAX_WAITING:
            raise Unavailable("Too many files of other servers are being fetched")
        return await self._fetching.run(
            f"{server_name}/{media_id}", lambda: self._fetch(server_name, media_id, timeout_ms)
        )

    async def _fetch(self, server_name: str, media_id: str, timeout_ms: int) -> FoundFile:
        try:
            async with asyncio.timeout(self.time_limit_s), self._slots.take(server_name):
                # Somebody may have fetched it between our look and this task's turn.
                found = await self.cache.get(server_name, media_id)
                return found or await self._store(server_name, media_id, timeout_ms)
        except TimeoutError as error:
            raise self._remember(server_name, media_id, ConnectionTimeout()) from error
        except MatrixError as error:
            raise self._remember(server_name, media_id, error) from error.__cause__

    async def _store(self, server_name: str, media_id: str, timeout_ms: int) -> FoundFile:
        async with self.asking.open(server_name, media_id, timeout_ms) as arriving:
            return await self.cache.store(server_name, media_id, arriving)

    def _remember(self, server_name: str, media_id: str, error: MatrixError) -> MatrixError:
        """Not what may be over in a moment, or is remembered elsewhere."""
        if not isinstance(error, NotYetUploaded | DestinationPaused | Unavailable):
            self._failed.put((server_name, media_id), _Failure(to_remember(error), self.clock.now_ms() + FAILED_MS))
        return error

    async def stop(self) -> None:
        """Fetch no more."""
        await self._fetching.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Files under way, and those that could not be had."""
        return {"fetching": len(self._fetching), "failed": len(self._failed)}
