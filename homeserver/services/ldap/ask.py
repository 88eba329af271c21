"""Asking the directory from the event loop: in a few threads, and not at all while it is down."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.protocol import errors
from homeserver.services.ldap.client import DirectoryDown
from homeserver.services.ldap.directory import Entry

if TYPE_CHECKING:
    from homeserver.services.clock import Clock

# As long nobody is asked after a failure: each one who asks would hold a thread for its whole time limit.
PAUSE_MS: Final = 15_000
MAX_WAITING: Final = 100

log = logging.getLogger(__name__)


class Client(Protocol):
    """client.py; blocking."""

    def check(self, name: str, external_id: str | None, password: str) -> Entry | None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class AskDirectory:
    """`at_once`: how many threads, which is how many connections do something at a time."""

    client: Client
    clock: Clock
    timeout_s: float
    at_once: int = 4
    _pool: ThreadPoolExecutor | None = None
    _waiting: int = 0
    _down_until_ms: int = 0
    _stopped: bool = field(default=False)

    async def __call__(self, name: str, external_id: str | None, password: str) -> Entry | None:
        """Raises Unavailable where the directory is down or slow, LimitExceeded where too many wait for it."""
        if self._stopped or self.clock.now_ms() < self._down_until_ms:
            raise _unavailable()
        if self._waiting >= MAX_WAITING:
            raise errors.LimitExceeded("Too many people are signing in right now", retry_after_ms=2000)
        self._waiting += 1
        try:
            return await self._ask(name, external_id, password)
        except (DirectoryDown, TimeoutError) as error:
            log.warning("the directory of users cannot be asked: %s", str(error) or "it is too slow")
            self._down_until_ms = self.clock.now_ms() + PAUSE_MS
            raise _unavailable() from error
        except Exception as error:
            # Whatever speaks there speaks no LDAP.
            log.exception("the answer of the directory of users cannot be understood")
            self._down_until_ms = self.clock.now_ms() + PAUSE_MS
            raise _unavailable() from error
        finally:
            self._waiting -= 1

    async def _ask(self, name: str, external_id: str | None, password: str) -> Entry | None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.at_once, thread_name_prefix="ldap")
        asked = asyncio.get_running_loop().run_in_executor(self._pool, self.client.check, name, external_id, password)
        # Search, bind and groups may each take their time; a client waits no longer than this.
        return await asyncio.wait_for(asked, 2 * self.timeout_s)

    async def stop(self) -> None:
        """Threads that wait for the directory end with their time limits."""
        self._stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()


def _unavailable() -> errors.MatrixError:
    return errors.Unavailable("The directory of users cannot be asked right now: try again in a minute")
