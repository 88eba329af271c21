"""What is done from time to time: media's clock, who speaks, who is gone, how good the paths are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from livekit.protocol import rtc

from voice.sfu.embedded.contracts import MediaPort
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.liveness import verdict
from voice.sfu.embedded.rooms.quality import rated
from voice.sfu.embedded.rooms.registry import Registry
from voice.sfu.embedded.rooms.room import Room
from voice.sfu.embedded.rooms.session import Session
from voice.sfu.embedded.rooms.turns import Turns
from voice.sfu.embedded.rooms.video_watch import VideoWatch

_log = logging.getLogger(__name__)
_MEDIA_MS = 20


@dataclass(slots=True)
class Rounds:
    registry: Registry
    sessions: Mapping[str, Session]
    port: MediaPort
    limits: RoomLimits
    clock: Clock
    refresh: Callable[[Session], None]
    turns: Turns
    _videos: VideoWatch = field(default_factory=VideoWatch)
    _swept_at: int | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        rounds = (
            (_MEDIA_MS, self.tick_media),
            (self.limits.speakers_interval, self.tell_speakers),
            (self.limits.sweep_interval, self.sweep),
            (self.limits.quality_interval, self.tell_qualities),
        )
        self._tasks = [asyncio.create_task(self._every(interval, work)) for interval, work in rounds]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _every(self, interval_ms: int, work: Callable[[], None]) -> None:
        """What fails once is tried again next time: one bad room must not silence the others."""
        while True:
            await asyncio.sleep(interval_ms / 1000)
            try:
                work()
            except Exception:
                _log.exception("a round of the voice worker failed")

    # --- the rounds --------------------------------------------------------------------------------------------

    def tick_media(self) -> None:
        now = self.clock.monotonic_ns()
        for room in self._inhabited():
            room.media.tick(now)
        self.port.flush()

    def tell_speakers(self) -> None:
        for room in self._inhabited():
            room.tell_speakers()
            self._videos.look(room)

    def sweep(self) -> None:
        now, soon_s = self.clock.monotonic_ms(), (self.clock.wall_ms() + self.limits.token_refresh) / 1000
        if not self._overslept(now):
            self.turns.add(self._look_after_all(now, soon_s))
        for room in self._inhabited():
            room.tell_size()
        self.registry.forget_empty()

    def _overslept(self, now: int) -> bool:
        """The worker stood still for a while: what people sent meanwhile is not read yet, and they are not to blame."""
        before, self._swept_at = self._swept_at, now
        return before is not None and now - before > self.limits.overslept

    def _look_after_all(self, now: int, soon_s: float) -> Iterator[None]:
        for session in list(self.sessions.values()):
            if not session.participant.gone:
                self._look_after(session, now, soon_s)
            yield

    def _look_after(self, session: Session, now: int, soon_s: float) -> None:
        participant = session.participant
        how = verdict(participant, now, self.limits)
        if how is not None:
            session.end(how)
            return
        if participant.peer is not None:
            participant.peer.tick()
        if participant.token_expires_s < soon_s and participant.signal_lost_at is None:
            self.refresh(session)

    def tell_qualities(self) -> None:
        for room in self._inhabited():
            self.turns.add(self._tell_qualities(room))

    def _tell_qualities(self, room: Room) -> Iterator[None]:
        """Everybody's to everybody: one message, packed once."""
        updates = []
        for participant in list(room.people.values()):
            yield
            if participant.peer is not None and participant.active and not participant.gone:
                quality, score = rated(participant.peer.qualities())
                updates.append(rtc.ConnectionQualityInfo(participant_sid=participant.sid, quality=quality, score=score))
        if updates:
            room.broadcast(connection_quality=rtc.ConnectionQualityUpdate(updates=updates))

    def _inhabited(self) -> Iterable[Room]:
        return [room for room in self.registry if room.people]
