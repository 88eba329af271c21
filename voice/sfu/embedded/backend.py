"""`SfuBackend` with our own workers: which room is at which of them, and what a worker has to know when it comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from voice import tokens
from voice.sfu.backend import (
    Changed,
    Grant,
    Joined,
    LeaveReason,
    Left,
    ParticipantState,
    RoomOptions,
    RoomsLost,
    SfuEvent,
    SfuListener,
    SfuUnavailable,
    Source,
)
from voice.sfu.embedded.backend_void_tokens import VoidTokens
from voice.sfu.embedded.control import (
    Address,
    EnsureRoom,
    Mute,
    Numbers,
    Participants,
    Permit,
    Ready,
    Remove,
    Result,
    SendData,
    Verb,
)

_log = logging.getLogger(__name__)

BUSY: Final = 8
"""A worker with so many participants and rooms has work; when all have, another one is started."""
FORGOTTEN_AFTER_MS: Final = 15 * 60_000
"""Without anybody. Workers forget empty rooms after five minutes: one is never at two workers at once."""

Restore: TypeAlias = Callable[[int], Sequence[Verb]]
"""What the worker of this number is asked first, each time it begins."""


class CannotStart(Exception):  # noqa: N818 - it is a state, and reads like one
    """There is no voice. The message is a sentence for the person who can mend it."""


class Worker(Protocol):
    """One that runs."""

    @property
    def number(self) -> int: ...

    @property
    def signalling(self) -> Address: ...

    async def ask(self, verb: Verb) -> Result:
        """Raises SfuUnavailable where it does not answer in time, or refuses."""
        ...


class Crew(Protocol):
    """All workers: processes (supervisor.py), or one inside of the homeserver (backend_in_process.py)."""

    @property
    def most(self) -> int:
        """How many there may be."""
        ...

    async def start(self, listener: SfuListener, lost: Callable[[int], None], restore: Restore) -> None:
        """Raises CannotStart."""
        ...

    async def stop(self) -> None: ...

    def running(self) -> Sequence[Worker]: ...

    async def reach(self, number: int) -> Worker:
        """Waits a moment for one that is being started. Raises SfuUnavailable."""
        ...

    def has(self, number: int) -> bool:
        """Whether there is or was one of this number."""
        ...

    def grow(self) -> None:
        """Start another one, where there may be one; this does not wait for it."""
        ...

    async def in_use(self, people: bool) -> None:
        """Told from time to time whether anybody is in a call: then it gets ready for what could go wrong."""
        ...

    def deaths(self) -> int: ...

    def numbers(self) -> Mapping[int, Numbers]: ...

    def ready(self) -> Sequence[Ready]: ...


@dataclass(slots=True)
class _Pinned:
    worker: int
    options: RoomOptions
    used_ms: int
    """Monotonic; when it was last asked for or left."""
    people: set[str] = field(default_factory=set)
    """Their sids."""


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass(slots=True)
class EmbeddedBackend:
    """`url` is where clients reach worker n, followed by `/n`. `now_s` is the computer's wall clock, as workers have it."""

    crew: Crew
    url: str
    api_key: str
    api_secret: str = field(repr=False)
    now_s: Callable[[], float] = time.time
    monotonic_ms: Callable[[], int] = _monotonic_ms
    busy: int = BUSY
    _rooms: dict[str, _Pinned] = field(default_factory=dict)
    _void: VoidTokens = field(default_factory=lambda: VoidTokens(tokens.LIFETIME_S * 1000))
    _listeners: list[SfuListener] = field(default_factory=list)
    _stopping: bool = False

    def on_event(self, listener: SfuListener) -> None:
        self._listeners.append(listener)

    async def start(self) -> None:
        """Raises CannotStart."""
        await self.crew.start(self._heard, self._lost, self._restore)

    async def stop(self) -> None:
        # Who is in a call joins anew when we are back, so nobody leaves now.
        self._stopping = True
        await self.crew.stop()

    # --- verbs -------------------------------------------------------------------------------------------------------

    async def ensure_room(self, room: str, options: RoomOptions) -> str:
        pinned = self._pin(room, options)
        worker = await self._worker_of(pinned)
        await worker.ask(EnsureRoom(room, options, self._void.of(room, self._wall_ms())))
        return f"{self.url}/{worker.number}"

    def mint_token(self, grant: Grant) -> str:
        return tokens.mint(self.api_key, self.api_secret, grant, self.now_s())

    async def participants(self, room: str) -> Sequence[ParticipantState]:
        return (await self._ask(room, Participants(room))).participants

    async def remove(self, room: str, identity: str, reason: LeaveReason = LeaveReason.REMOVED) -> bool:
        self._void.add(room, identity, self._wall_ms())
        return (await self._ask(room, Remove(room, identity, reason))).done

    async def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> bool:
        return (await self._ask(room, Mute(room, identity, source, muted))).done

    async def permit(self, room: str, grant: Grant) -> bool:
        return (await self._ask(room, Permit(room, grant))).done

    async def send_data(self, room: str, topic: str, payload: bytes, identities: Sequence[str] = ()) -> None:
        await self._ask(room, SendData(room, topic, payload, identities))

    async def _ask(self, room: str, verb: Verb) -> Result:
        """An empty result where nobody has asked for the room in a long time: then nobody is in it."""
        pinned = self._rooms.get(room)
        if pinned is None:
            return Result()
        return await (await self.crew.reach(pinned.worker)).ask(verb)

    # --- which room is where -----------------------------------------------------------------------------------------

    def worker_of_token(self, token: str) -> int | None:
        """Where the room of this token is. None for tokens that are not ours, and rooms that are gone.

        Whether it may be used still is the worker's business.
        """
        room = tokens.room_of(token, self.api_secret)
        pinned = None if room is None else self._rooms.get(room)
        return None if pinned is None else pinned.worker

    def _pin(self, room: str, options: RoomOptions) -> _Pinned:
        pinned = self._rooms.get(room)
        if pinned is None:
            pinned = self._rooms[room] = _Pinned(self._least_loaded(), options, 0)
        pinned.options, pinned.used_ms = options, self.monotonic_ms()
        return pinned

    async def _worker_of(self, pinned: _Pinned) -> Worker:
        """Its own; another one where that does not come back. Raises SfuUnavailable."""
        try:
            return await self.crew.reach(pinned.worker)
        except SfuUnavailable:
            if not self.crew.running():
                raise
        pinned.worker = self._least_loaded()
        return await self.crew.reach(pinned.worker)

    def _least_loaded(self) -> int:
        running = [worker.number for worker in self.crew.running()]
        if not running:
            return 0
        loads = dict.fromkeys(running, 0)
        for pinned in self._rooms.values():
            if pinned.worker in loads:
                loads[pinned.worker] += 1 + len(pinned.people)
        if min(loads.values()) >= self.busy:
            self.crew.grow()
        return min(running, key=loads.__getitem__)

    async def look_after_rooms(self) -> None:
        """To be called every few seconds: forget unused rooms, prepare for the death of workers in use."""
        self._forget_unused()
        await self.crew.in_use(any(pinned.people for pinned in self._rooms.values()))

    def _forget_unused(self) -> None:
        oldest = self.monotonic_ms() - FORGOTTEN_AFTER_MS
        for room, pinned in list(self._rooms.items()):
            if not pinned.people and pinned.used_ms < oldest:
                del self._rooms[room]
        self._void.forget(self._wall_ms())

    def _wall_ms(self) -> int:
        return int(self.now_s() * 1000)

    # --- what workers say --------------------------------------------------------------------------------------------

    def _restore(self, worker: int) -> Sequence[Verb]:
        now_ms = self._wall_ms()
        return [
            EnsureRoom(room, pinned.options, self._void.of(room, now_ms))
            for room, pinned in self._rooms.items()
            if pinned.worker == worker
        ]

    def _heard(self, event: SfuEvent) -> None:
        if isinstance(event, (Joined, Changed, Left)):
            self._count(event)
        self._tell(event)

    def _count(self, event: Joined | Changed | Left) -> None:
        pinned = self._rooms.get(event.room)
        if pinned is None:
            return
        match event:
            case Joined(participant=participant):
                pinned.people.add(participant.sid)
            case Left(sid=sid):
                pinned.people.discard(sid)
                pinned.used_ms = self.monotonic_ms()

    def _lost(self, worker: int) -> None:
        rooms = [room for room, pinned in self._rooms.items() if pinned.worker == worker]
        for room in rooms:
            self._rooms[room].people.clear()
        if rooms:
            self._tell(RoomsLost(rooms))

    def _tell(self, event: SfuEvent) -> None:
        if self._stopping:
            return
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _log.exception("a listener failed at an event of the voice workers")

    # --- for people --------------------------------------------------------------------------------------------------

    def memory_usage(self) -> dict[str, int]:
        return {
            "rooms": len(self._rooms),
            "participants": sum(len(pinned.people) for pinned in self._rooms.values()),
            "void_tokens": len(self._void),
        }
