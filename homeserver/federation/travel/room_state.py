"""What another server says a room is, before we believe it: its events checked, complete, and of the right room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.federation.errors import BadAnswer
from homeserver.federation.pdu_checks import PduChecks
from homeserver.federation.travel.join_answer import JoinAnswer
from homeserver.federation.travel.template import VOUCHER
from homeserver.protocol.auth import AuthRejection, FetchState, check_state_dependent, check_state_independent
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import RoomVersion

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ToldRoom:
    """State before the join, and what authorises it beyond that. Which events are allowed is decided where they are kept."""

    join: Event
    state: Sequence[Event]
    auth_chain: Sequence[Event]


@dataclass(frozen=True, slots=True)
class CheckRoomState:
    """One verb."""

    checks: PduChecks

    async def __call__(self, answer: JoinAnswer, join: Event) -> ToldRoom:
        """Events without valid signatures, of other rooms, or citing what is not there are left out one by one.

        Raises BadAnswer where what is left is not the room that we wanted to join.
        """
        version = join.room_version
        signed = await self.signed_join(answer.event, join)
        results = await self.checks(answer.pdus, version, room_id=join.room_id)
        events = [each if isinstance(each, Event) else None for each in results]
        return await asyncio.to_thread(_assemble, signed, events, answer.state)

    async def signed_join(self, pdu: Any, join: Event) -> Event:
        """The join as the other server gave it back, with its signature; ours where it gave none. Raises BadAnswer.

        "Required if the room is restricted and is joining through one of the conditions available."
        """
        if pdu is not None:
            (returned,) = await self.checks([pdu], join.room_version, room_id=join.room_id)
            if isinstance(returned, Event) and _unsigned(returned) == _unsigned(join):
                return returned
        if VOUCHER in join.content:
            raise BadAnswer("The other server did not sign for the join")
        return join


def _unsigned(event: Event) -> dict[str, Any]:
    return {key: value for key, value in event.pdu.items() if key != "signatures"}


def _assemble(join: Event, events: Sequence[Event | None], state: Sequence[int]) -> ToldRoom:
    known = {event.event_id: event for event in events if event is not None}
    known.pop(join.event_id, None)
    _drop_incomplete(known, join)
    told = _by_key(known[event.event_id] for number in state if (event := events[number]) and event.event_id in known)
    _check_is_the_room(told, join.room_version)
    _check_allows(told, known, join)
    in_state = {event.event_id for event in told.values()}
    log.info("%s: %d events of %d are usable, %d are state", join.room_id, len(known), len(events), len(told))
    return ToldRoom(join, list(told.values()), [each for each in known.values() if each.event_id not in in_state])


def _drop_incomplete(known: dict[str, Event], join: Event) -> None:
    """Take out events that cite what is not there, and events that cite those."""
    cited_by: dict[str, list[str]] = {}
    for event in known.values():
        for event_id in event.auth_event_ids:
            cited_by.setdefault(event_id, []).append(event.event_id)
    missing = [event_id for event_id in cited_by if event_id not in known]
    while missing:
        citing = cited_by.pop(missing.pop(), ())
        missing.extend(event_id for event_id in citing if known.pop(event_id, None) is not None)
    if any(event_id not in known for event_id in join.auth_event_ids):
        raise BadAnswer("The other server's answer lacks events that our join is built on")


def _by_key(events: Any) -> dict[StateKey, Event]:
    told: dict[StateKey, Event] = {}
    for event in events:
        if event.state_key is None:
            continue
        if told.setdefault(event.key, event) != event:
            raise BadAnswer("The other server's answer has two events for one entry of the state")
    return told


def _check_is_the_room(told: Mapping[StateKey, Event], version: RoomVersion) -> None:
    """The create event is there, and the room has the version by whose rules everything was checked."""
    create = told.get(("m.room.create", ""))
    if create is None:
        raise BadAnswer("The other server's answer has no create event")
    if create.content.get("room_version", "1") != version.version:
        raise BadAnswer("The room has another version than the other server told")


def _check_allows(told: Mapping[StateKey, Event], known: Mapping[str, Event], join: Event) -> None:
    """Our own event must be allowed, by what it cites and by the state; else we would be alone with it."""
    version, create = join.room_version, told["m.room.create", ""]
    cited = [known[event_id] for event_id in join.auth_event_ids]
    implied = create if version.room_id_is_create_event_id else None
    try:
        check_state_independent(join, cited, create_event=implied, rejected_event_ids=())
        by_key = {create.key: create, **{event.key: event for event in cited}}
        check_state_dependent(join, version, _reader(by_key))
        check_state_dependent(join, version, _reader(told))
    except AuthRejection as rejection:
        raise BadAnswer(f"The room's state does not allow the join: {rejection.message}") from rejection


def _reader(state: Mapping[StateKey, Event]) -> FetchState:
    return lambda event_type, state_key: state.get((event_type, state_key))
