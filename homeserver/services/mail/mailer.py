"""Mail on its way: a bounded queue in memory, one sender, more attempts where the mail server cannot take it now.

A restart loses what waits, and people ask again: nothing here is the only copy of anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.services.mail.mail import Mail
from homeserver.services.mail.relay import Connection, PostponedError, RefusedError, SmtpRelay, UnreachableError

if TYPE_CHECKING:
    from homeserver.services.clock import Clock

MAX_WAITING: Final = 1_000
MINUTE_MS: Final = 60_000
# RFC 5321, 4.5.4.1 wants half an hour between attempts and days of them; who waits for a code does not wait that long.
PAUSES_MS: Final = (MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 60 * MINUTE_MS)
STOP_SECONDS: Final = 5.0
MAX_LOGGED_CHARACTERS: Final = 300

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    mail: Mail
    attempts: int = 0
    due_ms: int = 0


@dataclass(slots=True)
class Mailer:
    """Takes mail at once and sends it in its own time; what becomes of it is in the log."""

    relay: SmtpRelay
    clock: Clock
    max_waiting: int = MAX_WAITING
    _fresh: deque[_Waiting] = field(default_factory=deque)
    _later: list[_Waiting] = field(default_factory=list)
    _sending: asyncio.Task[None] | None = None
    _stopped: bool = False

    def post(self, mail: Mail) -> None:
        """Send a mail soon. Raises Unavailable where too much is waiting already."""
        self.check()
        self._fresh.append(_Waiting(mail))
        self._begin()

    def check(self) -> None:
        """Raises Unavailable where no further mail can wait."""
        if self._stopped or len(self._fresh) + len(self._later) >= self.max_waiting:
            raise errors.Unavailable("No mail can be sent right now")

    def _begin(self) -> None:
        if self._sending is None and not self._stopped:
            self._sending = asyncio.create_task(self._send_all(), name="send-mail")

    async def _send_all(self) -> None:
        try:
            while self._fresh:
                await self._send_over_one_connection()
        except Exception:
            log.exception("mail could not be sent")
            self._postpone_all()
        finally:
            self._sending = None

    async def _send_over_one_connection(self) -> None:
        try:
            async with self.relay.connected() as connection:
                while self._fresh:
                    await self._send_next(connection)
        except UnreachableError as error:
            log.warning("the mail server %s takes no mail: %s", self.relay.server.host, _short(error))
            self._postpone_all()

    async def _send_next(self, connection: Connection) -> None:
        waiting = self._fresh[0]
        try:
            await connection.send(waiting.mail)
        except RefusedError as error:
            log.warning("a mail (%s) was refused: %s", waiting.mail.kind, _short(error))
        except PostponedError as error:
            log.info("a mail (%s) has to wait: %s", waiting.mail.kind, _short(error))
            self._postpone(waiting)
        except UnreachableError:
            raise
        except Exception:
            # Whatever is wrong with it, those behind it are sent.
            log.exception("a mail (%s) could not be sent", waiting.mail.kind)
        # Not before it is sent: it stays the first of those who wait where the connection breaks.
        self._fresh.popleft()

    def _postpone_all(self) -> None:
        for waiting in self._fresh:
            self._postpone(waiting)
        self._fresh.clear()

    def _postpone(self, waiting: _Waiting) -> None:
        if waiting.attempts >= len(PAUSES_MS):
            log.warning("a mail (%s) is given up after %d attempts", waiting.mail.kind, waiting.attempts + 1)
            return
        waiting.due_ms = self.clock.now_ms() + PAUSES_MS[waiting.attempts]
        waiting.attempts += 1
        self._later.append(waiting)

    async def retry_due(self) -> None:
        """Repeated: those whose pause is over are sent again."""
        now_ms = self.clock.now_ms()
        due = [each for each in self._later if each.due_ms <= now_ms]
        if due:
            self._later = [each for each in self._later if each.due_ms > now_ms]
            self._fresh.extend(due)
            self._begin()

    async def stop(self) -> None:
        """Give what is being sent a few seconds; forget the rest."""
        self._stopped = True
        sending = self._sending
        if sending is not None:
            await asyncio.wait([sending], timeout=STOP_SECONDS)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        left = len(self._fresh) + len(self._later)
        if left:
            log.warning("%d mails were not sent", left)

    def memory_usage(self) -> Mapping[str, int]:
        """Mails that wait."""
        return {"waiting": len(self._fresh), "later": len(self._later)}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:MAX_LOGGED_CHARACTERS]
