"""State and auth events that are not here, fetched from one server and stored.

Source: server-server API, "Retrieving event authorization information", `GET /state_ids`, `GET /state`, `GET /event`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.federation.errors import BadAnswer
from homeserver.federation.remote_events import RemoteEvents, RemoteStateIds
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.events import Event, StateKey, StateMap
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.foreign_events.outcomes import ToldState, Verdict
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import REJECTED
from homeserver.storage.pdus import EventMark, Pdus

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

SINGLE_EVENTS: Final = 50
"""More missing events than this are had in one request, with all that is not missing."""
AT_ONCE: Final = 10
MAX_SUPPLIED: Final = 20_000
"""Events of a state that are not here. We are in the room, so most of it is."""
AUTH_ROUNDS: Final = 8
MAX_AUTH_EVENTS: Final = 400
MAX_AUTH_CHAINS: Final = 3
"""Requests for whole auth chains."""


class StoreOutliers(Protocol):
    """`services/foreign_events/store_outliers.py`."""

    async def __call__(self, room_id: str, version: RoomVersion, events: Sequence[Event]) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class Supplies:
    """One server is asked, by whom it suits; whoever asks sets the time limit."""

    remote: RemoteEvents
    store: StoreOutliers
    queries: Queries
    pdus: Pdus

    async def state_before(self, destination: str, room: LiveRoom, event_id: str) -> StateMap[str]:
        """The state before an event, as that server tells it; all its events are stored afterwards.

        Entries that are not allowed by their auth events, or are none, are left out. Raises MatrixError.
        """
        told = await self.remote.state_ids(destination, room.room_id, event_id)
        marks = await self._marks({*told.state, *told.auth_chain})
        missing = [each for each in dict.fromkeys((*told.auth_chain, *told.state)) if each not in marks]
        if missing:
            await self._supply(destination, room, event_id, missing)
            marks |= await self._marks(missing)
        return _state_map(room, told, marks)

    async def state_after(self, destination: str, room: LiveRoom, event_id: str) -> ToldState:
        """The state after an event that is not here, which is stored as an outlier. Raises MatrixError."""
        state = dict(await self.state_before(destination, room, event_id))
        mark = (await self._marks([event_id])).get(event_id)
        if mark is None:
            event = await self.remote.event(destination, event_id, room.version, room_id=room.room_id)
            if event is None:
                raise BadAnswer("The other server does not give an event that others are built on")
            await self.auth_events(destination, room, [event])
            await self.store(room.room_id, room.version, [event])
            mark = (await self._marks([event_id])).get(event_id)
        key = None if mark is None else _key_in(room, mark)
        if key is not None:
            state[key] = event_id
        return ToldState(event_id, state)

    async def auth_events(self, destination: str, room: LiveRoom, events: Sequence[Event]) -> None:
        """What these cite and nobody here has is stored, as far as the server gives it. Raises MatrixError."""
        own = {event.event_id for event in events}
        found: dict[str, Event] = {}
        wanted = await self._not_stored(_cited(events) - own)
        if len(wanted) > SINGLE_EVENTS:
            await self._auth_chains(destination, room, events, wanted, found)
        for _ in range(AUTH_ROUNDS):
            left = [each for each in wanted if each not in found][: MAX_AUTH_EVENTS - len(found)]
            if not left:
                break
            fetched = await self._events(destination, room, left)
            found |= fetched
            wanted = await self._not_stored(_cited(fetched.values()) - own - found.keys()) if fetched else []
        if found:
            await self.store(room.room_id, room.version, list(found.values()))

    async def _auth_chains(
        self, destination: str, room: LiveRoom, events: Sequence[Event], wanted: Collection[str],
        found: dict[str, Event],
    ) -> None:  # fmt: skip
        left = set(wanted)
        for event in [each for each in events if not left.isdisjoint(each.auth_event_ids)][:MAX_AUTH_CHAINS]:
            chain = await self.remote.event_auth(destination, room.room_id, event.event_id, room.version)
            missing = set(await self._not_stored({each.event_id for each in chain}))
            found |= {each.event_id: each for each in chain if each.event_id in missing}
            left -= found.keys()

    async def _supply(self, destination: str, room: LiveRoom, event_id: str, missing: Sequence[str]) -> None:
        """Store the missing ones of the state before an event."""
        if len(missing) > MAX_SUPPLIED:
            raise BadAnswer(f"The other server tells a state of which more than {MAX_SUPPLIED} events are not here")
        if len(missing) <= SINGLE_EVENTS:
            found = await self._events(destination, room, missing)
        else:
            told = await self.remote.state(destination, room.room_id, event_id, room.version)
            wanted = set(missing)
            found = {each.event_id: each for each in (*told.auth_chain, *told.state) if each.event_id in wanted}
        if found:
            await self.store(room.room_id, room.version, list(found.values()))

    async def _events(self, destination: str, room: LiveRoom, event_ids: Iterable[str]) -> dict[str, Event]:
        """Single events, several at a time; those that the server does not give are left out."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(event_id: str) -> Event | None:
            async with slots:
                try:
                    return await self.remote.event(destination, event_id, room.version, room_id=room.room_id)
                except MatrixError:
                    return None

        found = await asyncio.gather(*(one(each) for each in event_ids))
        return {event.event_id: event for event in found if event is not None}

    async def _not_stored(self, event_ids: Collection[str]) -> list[str]:
        marks = await self._marks(event_ids)
        return [each for each in event_ids if each not in marks]

    async def _marks(self, event_ids: Collection[str]) -> dict[str, EventMark]:
        return await self.pdus.marks(self.queries, event_ids) if event_ids else {}


def _cited(events: Iterable[Event]) -> set[str]:
    return {each for event in events for each in event.auth_event_ids}


def _state_map(room: LiveRoom, told: RemoteStateIds, marks: Mapping[str, EventMark]) -> dict[StateKey, str]:
    """Raises BadAnswer for a state that is none: two events for one entry, or another room's beginning."""
    state: dict[StateKey, str] = {}
    for event_id in told.state:
        mark = marks.get(event_id)
        key = None if mark is None else _key_in(room, mark)
        if key is not None and state.setdefault(key, event_id) != event_id:
            raise BadAnswer("The other server tells a state with two events for one entry")
    create = room.state.get("m.room.create")
    if create is None or state.get(("m.room.create", "")) != create.event_id:
        raise BadAnswer("The other server tells a state without the event that made the room")
    return state


def _key_in(room: LiveRoom, mark: EventMark) -> StateKey | None:
    """What the event is in the state of this room; None where it is no part of it."""
    if mark.state_key is None or mark.room_nid != room.room_nid or mark.flags & REJECTED:
        return None
    return mark.type, mark.state_key
