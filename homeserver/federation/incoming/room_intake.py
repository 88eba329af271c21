"""The events of a transaction: by room, from whoever may send them, checked, received, each with an answer of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from homeserver.federation.incoming.arrivals import Arrivals
from homeserver.federation.incoming.incoming import Incoming
from homeserver.federation.incoming.staging import Staging, Work
from homeserver.federation.incoming.withdrawn import EndsOutside
from homeserver.federation.pdu_checks import DroppedPdu, PduChecks
from homeserver.federation.room_acl import DENIED, RoomAcl
from homeserver.protocol.errors import LimitExceeded, MatrixError, NotFound, Unavailable
from homeserver.protocol.event_format import check_event_format
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import event_id_of
from homeserver.protocol.identifiers import is_event_id, is_room_id
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.foreign_events.outcomes import Outcome, Verdict
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache

ANSWER_SECONDS: Final = 20
"""After so long, events are staged and acknowledged: other servers wait a minute or so for an answer."""
MAX_OF_A_ROOM: Final = 1_000
MAX_AT_WORK: Final = 20_000
"""Events; beyond this, senders are asked to come again: they keep what was not acknowledged."""
RETRY_AFTER_MS: Final = 10_000
NOT_HERE: Final = "Nobody of this server is in the room"

log = logging.getLogger(__name__)

Answers = dict[str, str]
"""Error texts by event id; an empty one is success."""


@dataclass(frozen=True, slots=True)
class RoomIntake:
    """`receive` answers within the time of `PduChecks` and `answer_seconds`; what takes longer goes on afterwards."""

    cache: RoomCache
    checks: PduChecks
    acl: RoomAcl
    incoming: Incoming
    staging: Staging
    outside: EndsOutside
    arrivals: Arrivals = field(default_factory=Arrivals)
    answer_seconds: float = ANSWER_SECONDS
    _at_work: dict[str, int] = field(default_factory=dict)
    _tasks: set[Work] = field(default_factory=set)

    async def receive(self, origin: str, pdus: Sequence[Any]) -> Answers:
        """Raises LimitExceeded where too many events are waiting already."""
        by_room = _by_room(pdus)
        self._check_capacity(by_room)
        parts = await asyncio.gather(*(self._receive_safely(origin, *each) for each in by_room.items()))
        return {event_id: text for part in parts for event_id, text in part.items()}

    async def stop(self) -> None:
        """Give up what is under way: it is staged, or was not acknowledged."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def memory_usage(self) -> Mapping[str, int]:
        """Events that are being dealt with."""
        return {"events": sum(self._at_work.values())}

    async def _receive_safely(self, origin: str, room_id: str, pdus: Sequence[Any]) -> Answers:
        """A mistake of ours in one room must not make the sender repeat everything for ever. Raises Unavailable."""
        try:
            return await self._receive(origin, room_id, pdus)
        except Unavailable:
            raise
        except MatrixError as error:
            log.info("events that %s sent for %s were refused: %s", origin, room_id, error)
            return dict.fromkeys(_written_ids(pdus), error.message)
        except Exception:
            log.exception("events that %s sent for %s could not be dealt with", origin, room_id)
            return dict.fromkeys(_written_ids(pdus), "Something went wrong here")

    async def _receive(self, origin: str, room_id: str, pdus: Sequence[Any]) -> Answers:
        await self.arrivals.settled(room_id, len(pdus))
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            ended = await self.outside.receive(room_id, pdus)
            return {**dict.fromkeys(_written_ids(pdus), NOT_HERE), **dict.fromkeys(ended, "")}
        if not room.joined_local:
            ended = await self.outside.receive(room_id, pdus)
            return {**_refused(pdus, room.version, NOT_HERE), **dict.fromkeys(ended, "")}
        if not self.acl.allows(room, origin):
            return _refused(pdus, room.version, DENIED)
        results = await self.checks(pdus, room.version)
        answers = {each.event_id: each.reason for each in results if isinstance(each, DroppedPdu) and each.event_id}
        events = list({each.event_id: each for each in results if isinstance(each, Event)}.values())
        return {**answers, **(await self._deal_with(origin, room, events) if events else {})}

    async def _deal_with(self, origin: str, room: LiveRoom, events: Sequence[Event]) -> Answers:
        work = asyncio.create_task(self._work(origin, room, events))
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait({work}, timeout=self.answer_seconds)
        if done:
            return _answers(work.result())
        await self.staging.keep(origin, room.room_id, events, work)
        return {event.event_id: "" for event in events}

    async def _work(self, origin: str, room: LiveRoom, events: Sequence[Event]) -> list[Verdict]:
        self._at_work[room.room_id] = self._at_work.get(room.room_id, 0) + len(events)
        try:
            return await self.incoming.receive(origin, room.room_id, events)
        except NotFound:
            return [Verdict(event.event_id, Outcome.UNDECIDED, NOT_HERE) for event in events]
        finally:
            self._at_work[room.room_id] -= len(events)
            if not self._at_work[room.room_id]:
                del self._at_work[room.room_id]

    def _check_capacity(self, by_room: Mapping[str, Sequence[Any]]) -> None:
        in_all = sum(self._at_work.values()) + sum(map(len, by_room.values()))
        full = any(self._at_work.get(room_id, 0) + len(pdus) > MAX_OF_A_ROOM for room_id, pdus in by_room.items())
        if full or in_all > MAX_AT_WORK:
            raise LimitExceeded("Too many events are waiting here: send them again", retry_after_ms=RETRY_AFTER_MS)


def _by_room(pdus: Iterable[Any]) -> dict[str, list[Any]]:
    """Those that name none are left out: nothing could be said of them."""
    by_room: dict[str, list[Any]] = {}
    for pdu in pdus:
        room_id = pdu.get("room_id") if isinstance(pdu, dict) else None
        if isinstance(room_id, str) and is_room_id(room_id):
            by_room.setdefault(room_id, []).append(pdu)
    return by_room


def _written_ids(pdus: Iterable[Any]) -> list[str]:
    """Of a room that is not known here, only the ids that are written in events can be said."""
    return [pdu["event_id"] for pdu in pdus if is_event_id(pdu.get("event_id"))]


def _refused(pdus: Iterable[Any], version: RoomVersion, why: str) -> Answers:
    """Not worth a look at the signatures."""
    answers: Answers = {}
    for pdu in pdus:
        try:
            answers[event_id_of(check_event_format(pdu, version), version)] = why
        except MatrixError:
            continue
    return answers


def _answers(verdicts: Iterable[Verdict]) -> Answers:
    """ "If no error is present, the PDU can be considered successfully handled": what is kept aside was handled too, and
    a rejected event is nothing its sender can do anything about. Errors are for what he may send again.
    """
    return {each.event_id: each.reason if each.outcome is Outcome.UNDECIDED else "" for each in verdicts}
