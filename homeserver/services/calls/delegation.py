"""Delegated leaves: a client hands us the delayed event that says that it has left the call (MSC4195, MSC4140).

While the participant is in the SFU the event is put off again and again; when the SFU says that he is gone it is sent.
A client whose network breaks is out of the call for everybody at once, and none has to ask every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.protocol.errors import InvalidParam, MatrixError, NotFound
from homeserver.services.calls.tokens import CallMember, identity_of
from voice.sfu.backend import Joined, LeaveReason, Left, RoomsLost, SfuEvent

if TYPE_CHECKING:
    from homeserver.services.calls.identities import Key, VoiceIdentities
    from homeserver.services.clock import Clock

TICK_MS: Final = 500
MIN_DELAY_MS: Final = 5_000
"""Shorter ones would be sent before we are sure that somebody is gone."""
CONNECT_WAIT_MS: Final = 60_000
"""Who handed us his leave and does not come within this time is taken for gone."""
COME_BACK_MS: Final = 30_000
"""The same for those whose worker went away; and after our own restart."""
RECONNECT_WAIT_MS: Final = 10_000
"""The same for those who were told to connect anew; as long as their seat is kept (voice_rosters/reaper.py)."""
GOODBYE_WAIT_MS: Final = 2_000
"""LiveKit's clients say goodbye and come again at once when they begin a connection anew."""
MAX_DELAY_ID_CHARACTERS: Final = 255

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DelayedLeave:
    """What is known of a delayed event that waits."""

    user_id: str
    room_id: str
    delay_ms: int


class DelayedLeaves(Protocol):
    """What we need of delayed events. Raises Unavailable."""

    async def find(self, delay_id: str) -> DelayedLeave | None:
        """The event, if it waits still."""
        ...

    async def restart(self, delay_ids: Sequence[str]) -> Collection[str]:
        """Put them off by their whole delay; those that were waiting still."""
        ...

    async def send_now(self, delay_id: str) -> None:
        """Send it. Raises NotFound where it does not wait any more."""
        ...


@dataclass(slots=True)
class Delegation:
    """One event in our care. Times in ms since the epoch."""

    delay_id: str
    delay_ms: int
    restart_ms: int
    """When it is put off next."""
    gone_ms: int | None
    """When it is sent unless he is in the call by then; None while he is."""


@dataclass(slots=True)
class Delegations:
    """At most one for each participant."""

    delayed: DelayedLeaves
    identities: VoiceIdentities
    clock: Clock
    _held: dict[Key, Delegation] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Take up again what was in our care before the restart."""
        now_ms = self.clock.now_ms()
        for known in self.identities.with_delegation():
            if known.delay_id is not None and known.delay_ms is not None:
                self._held[known.key] = Delegation(known.delay_id, known.delay_ms, now_ms, now_ms + COME_BACK_MS)

    async def accept(self, member: CallMember, delay_id: str) -> None:
        """Take the event into our care, in place of an earlier one.

        Raises InvalidParam: "if the server cannot find the delayed event based on the `delay_id` or if it can find the
        delayed event but it belongs to another room or user".
        """
        leave = await self.delayed.find(delay_id) if 0 < len(delay_id) <= MAX_DELAY_ID_CHARACTERS else None
        if leave is None or leave.user_id != member.user_id or leave.room_id != member.room_id:
            raise InvalidParam("There is no such delayed event of yours in this room")
        if leave.delay_ms < MIN_DELAY_MS:
            raise InvalidParam(f"The delay of a delegated event is at least {MIN_DELAY_MS} ms")
        known = self.identities.find(member.sfu_room, member.identity)
        if known is None or known.user_id != member.user_id:
            known = await self.identities.remember(identity_of(member))
        if delay_id not in await self.delayed.restart([delay_id]):
            raise InvalidParam("The delayed event has been sent or cancelled")
        now_ms = self.clock.now_ms()
        gone_ms = None if self.identities.is_present(*known.key) else now_ms + CONNECT_WAIT_MS
        self._held[known.key] = Delegation(delay_id, leave.delay_ms, now_ms + leave.delay_ms // 2, gone_ms)
        await self.identities.delegate(known, delay_id, leave.delay_ms)

    def follow_sfu(self, event: SfuEvent) -> None:
        """Who comes and goes. After `VoiceIdentities.follow`."""
        match event:
            case Joined(room, participant) if (room, participant.identity) in self._held:
                self._held[(room, participant.identity)].gone_ms = None
            case Left(room, identity, _, reason):
                self._left((room, identity), reason)
            case RoomsLost(rooms):
                lost = frozenset(rooms)
                for key in [key for key in self._held if key[0] in lost]:
                    self._gone_in(key, COME_BACK_MS)

    async def tick(self) -> None:
        """Twice a second: put off what is due, send what belongs to those who are gone."""
        now_ms = self.clock.now_ms()
        gone = [key for key, held in self._held.items() if held.gone_ms is not None and held.gone_ms <= now_ms]
        await asyncio.gather(*(self._send(key) for key in gone))
        await self._restart_due(now_ms)

    async def stop(self) -> None:
        """What is in our care stays in the table."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def memory_usage(self) -> Mapping[str, int]:
        return {"delegations": len(self._held)}

    def _left(self, key: Key, reason: LeaveReason) -> None:
        if key not in self._held or reason is LeaveReason.DUPLICATE:
            return
        if reason is LeaveReason.LEFT:
            self._gone_in(key, GOODBYE_WAIT_MS)
        elif reason is LeaveReason.RECONNECTING:
            self._gone_in(key, RECONNECT_WAIT_MS)
        elif reason is LeaveReason.BACKEND_LOST:
            self._gone_in(key, COME_BACK_MS)
        else:
            task = asyncio.create_task(self._send(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _gone_in(self, key: Key, wait_ms: int) -> None:
        self._held[key].gone_ms = self.clock.now_ms() + wait_ms

    async def _send(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is None:
            return
        try:
            await self.delayed.send_now(held.delay_id)
        except NotFound:
            pass  # the client did it itself
        except MatrixError as error:
            if error.status >= 500:
                held.gone_ms = self.clock.now_ms()
                self._held.setdefault(key, held)
                return
            log.warning("a delegated leave was refused: %s", error)
        await self._forget({key: held.delay_id})

    async def _restart_due(self, now_ms: int) -> None:
        due = {held.delay_id: key for key, held in self._held.items() if held.restart_ms <= now_ms}
        if not due:
            return
        waiting = await self.delayed.restart(list(due))
        ended: dict[Key, str] = {}
        for delay_id, key in due.items():
            held = self._held.get(key)
            if held is None or held.delay_id != delay_id:
                continue
            if delay_id in waiting:
                held.restart_ms = now_ms + held.delay_ms // 2
            else:
                ended[key] = self._held.pop(key).delay_id
        await self._forget(ended)

    async def _forget(self, ended: Mapping[Key, str]) -> None:
        """These are done with, unless another event has taken their place."""
        known = ((self.identities.find(*key), delay_id) for key, delay_id in ended.items())
        await self.identities.end_delegations(
            [of.key for of, delay_id in known if of is not None and of.delay_id == delay_id]
        )
