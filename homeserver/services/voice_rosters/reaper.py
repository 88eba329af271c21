"""Ends the call membership of clients that are no longer there to do it themselves.

Rooms would show them in the call for hours otherwise. Clients that hang up say so by themselves, and those that lost
their connection come back: both get a moment, as long as the reason of their absence lets us expect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import MatrixError
from homeserver.services.voice_rosters.seat import Member, Seat, SeatKey
from voice.sfu.backend import LeaveReason

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.voice_rosters.end_membership import EndMembership
    from homeserver.services.voice_rosters.rosters import Rosters

log = logging.getLogger(__name__)

# Who vanished was silent for up to four and a half seconds already, and is to be gone within five.
GRACE_MS: Final[Mapping[LeaveReason, int]] = {
    LeaveReason.VANISHED: 200,
    LeaveReason.REMOVED: 500,
    LeaveReason.MOVED: 500,
    LeaveReason.LEFT: 2_000,
    LeaveReason.ROOM_ENDED: 2_000,
    LeaveReason.RECONNECTING: 10_000,
    LeaveReason.DUPLICATE: 10_000,
    LeaveReason.BACKEND_LOST: 10_000,
}
LOOK_INTERVAL_MS: Final = 250
JOINING_MS: Final = 15_000
"""A membership that is newer than the departure is a new attempt: as long as this its client may take to arrive."""
RETRY_MS: Final = 5_000
MAX_ATTEMPTS: Final = 12


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is gone since then, and looked after at that time."""

    left_ms: int
    due_ms: int
    key: SeatKey | None
    attempts: int = 0


@dataclass(slots=True)
class Reaper:
    """Knows who is absent; one task looks after them, as long as there is anybody."""

    rosters: Rosters
    end: EndMembership
    clock: Clock
    server_name: str
    _absent: dict[Member, Absence] = field(default_factory=dict)
    _looking: asyncio.Task[None] | None = None

    def departed(self, seat: Seat, reason: LeaveReason) -> None:
        """Somebody left or was lost. Subscribed to the rosters."""
        now_ms = self.clock.now_ms()
        self._expect(seat.member, Absence(now_ms, now_ms + GRACE_MS[reason], seat.key))

    def seated(self, seat: Seat) -> None:
        """He is back. Subscribed to the rosters."""
        self._absent.pop(seat.member, None)

    def look_after(self, member: Member, began_ms: int) -> None:
        """Somebody was in a call before this process began at `began_ms`, and nothing was heard of him since."""
        if not self.rosters.is_seated(member):
            self._expect(member, Absence(began_ms, self.clock.now_ms(), None))

    async def stop(self) -> None:
        """Who is left is looked after by the next process."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _expect(self, member: Member, absence: Absence) -> None:
        self._absent[member] = absence
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="end-call-memberships")

    async def _look(self) -> None:
        while self._absent:
            now_ms = self.clock.now_ms()
            due = [(member, absence) for member, absence in self._absent.items() if absence.due_ms <= now_ms]
            # All at once: their events go into one commit.
            await asyncio.gather(*(self._reap(member, absence) for member, absence in due))
            if self._absent:
                await self.clock.sleep(ms=LOOK_INTERVAL_MS)

    async def _reap(self, member: Member, absence: Absence) -> None:
        later = await self._reaped(member, absence)
        if self._absent.get(member) is not absence:
            return  # he came back, or came back and left again, meanwhile
        if later is None:
            del self._absent[member]
        else:
            self._absent[member] = later

    async def _reaped(self, member: Member, absence: Absence) -> Absence | None:
        """End his memberships; None when that is done, else when to look again."""
        if absence.key is not None:
            self.rosters.give_up(absence.key)
        # Users of other servers are looked after there.
        if not member.user_id.endswith(f":{self.server_name}"):
            return None
        try:
            newest_ms = await self.end(member, absence.left_ms, device_is_back=self.rosters.is_seated(member))
        except Exception as error:
            return self._after_failure(member, absence, error)
        return None if newest_ms is None else replace(absence, left_ms=newest_ms, due_ms=newest_ms + JOINING_MS)

    def _after_failure(self, member: Member, absence: Absence, error: Exception) -> Absence | None:
        if isinstance(error, MatrixError) and error.status < 500:
            log.info("the call membership of %s in %s stays: %s", member.user_id, member.room_id, error)
            return None
        if absence.attempts >= MAX_ATTEMPTS:
            log.error("the call membership of %s in %s could not be ended", member.user_id, member.room_id)
            return None
        log.warning("the call membership of %s in %s is not ended yet", member.user_id, member.room_id, exc_info=error)
        return replace(absence, due_ms=self.clock.now_ms() + RETRY_MS, attempts=absence.attempts + 1)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"absent": len(self._absent)}
