"""What the people of a room are told of each other, collected for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import rtc

from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.rate import Rate


@dataclass(slots=True)
class News:
    """Everybody hears of everybody else; of himself only where he has to learn something."""

    limits: RoomLimits
    now: Callable[[], int]
    """Monotonic ms."""
    audience: Callable[[], Iterable[Participant]]
    told: Callable[[Iterable[Participant]], None]
    """After each round, with those it was about."""
    _changed: dict[str, Participant] = field(default_factory=dict)
    _for_themselves: set[str] = field(default_factory=set)
    _timer: asyncio.TimerHandle | None = None
    _rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self._rate = Rate(self.limits.updates_per_second, self.limits.update_burst)

    def of(self, participant: Participant, *, himself: bool = False) -> None:
        self._changed[participant.sid] = participant
        if himself:
            self._for_themselves.add(participant.sid)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay() / 1000, self.flush)

    def _delay(self) -> int:
        return self.limits.update_delay if self._rate.take(self.now()) else self.limits.slow_update_delay

    def flush(self) -> None:
        """Tell it now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        changed, own, self._changed, self._for_themselves = self._changed, self._for_themselves, {}, set()
        if not changed:
            return
        infos = {sid: participant.info() for sid, participant in changed.items()}
        everything = _packed(infos.values())
        for participant in self.audience():
            if participant.sid not in infos or participant.sid in own:
                participant.signal.send_packed(everything)
            elif len(infos) > 1:
                others = [info for sid, info in infos.items() if sid != participant.sid]
                participant.signal.send_packed(_packed(others))
        self.told(changed.values())

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._changed.clear()


def _packed(infos: Iterable[Any]) -> bytes:
    packed: bytes = rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=infos)).SerializeToString()
    return packed
