"""Tells clients to go to another channel. They know the way: a token for the SFU's other room, another membership."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.services.requester import Requester
from homeserver.services.voice_rosters.seat import Seat
from voice.sfu.backend import LeaveReason, SfuBackend, SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.to_device.send import Messages
    from homeserver.services.voice_rosters.rosters import Rosters

MOVE: Final = "org.voicechat.voice.move"
"""The to-device message: `from`, `to`, `reason` (`moderator` or `afk`)."""
MOVE_TOPIC: Final = "org.voicechat.move"
"""The data packet of the same content, for clients that look at the call only."""
PATIENCE_MS: Final = 3_000
"""Whoever has not gone by then is taken out of the channel."""

log = logging.getLogger(__name__)

SendLetters = Callable[[Requester, str, str, "Messages"], Awaitable[None]]
"""`SendToDevice.send`: requester, type, transaction id, messages."""


@dataclass(slots=True)
class Moves:
    """Tells, and takes out those who stay."""

    backend: SfuBackend
    rosters: Rosters
    send: SendLetters
    clock: Clock
    _removing: set[asyncio.Task[None]] = field(default_factory=set)

    async def tell(self, sender: Requester, seats: Sequence[Seat], to: str, reason: str) -> None:
        """Tell these devices, all of one channel. Raises SfuUnavailable where that is all that went wrong."""
        content = {"from": seats[0].member.room_id, "to": to, "reason": reason}
        await self.send(sender, MOVE, secrets.token_hex(16), _letters(seats, content))
        packet = orjson.dumps(content)
        for sfu_room, identities in _by_sfu_room(seats).items():
            await self.backend.send_data(sfu_room, MOVE_TOPIC, packet, identities)

    def remove_soon(self, seats: Iterable[Seat]) -> None:
        """Take out those who have not gone within PATIENCE_MS."""
        task = asyncio.create_task(self._remove(list(seats)), name="remove-the-moved")
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def stop(self) -> None:
        """Whoever was told and stayed, stays."""
        for task in self._removing:
            task.cancel()
        await asyncio.gather(*self._removing, return_exceptions=True)

    async def _remove(self, seats: Sequence[Seat]) -> None:
        await self.clock.sleep(ms=PATIENCE_MS)
        for seat in seats:
            held = self.rosters.seat(seat.key)
            # Another sid: he went and came back, which nobody forbade him.
            if held is None or held.participant.sid != seat.participant.sid:
                continue
            try:
                await self.backend.remove(*seat.key, LeaveReason.MOVED)
            except SfuUnavailable:
                log.warning("%s was told to move and could not be removed", seat.member.user_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"moving": len(self._removing)}


def _letters(seats: Iterable[Seat], content: dict[str, Any]) -> Messages:
    letters: dict[str, dict[str, dict[str, Any]]] = {}
    for seat in seats:
        if seat.member.device_id:
            letters.setdefault(seat.member.user_id, {})[seat.member.device_id] = content
    return letters


def _by_sfu_room(seats: Iterable[Seat]) -> dict[str, list[str]]:
    rooms: dict[str, list[str]] = {}
    for seat in seats:
        rooms.setdefault(seat.sfu_room, []).append(seat.participant.identity)
    return rooms
