"""A room that this server comes into, for the first time or once more: its state is what a server inside tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import BadGateway, Forbidden, NotFound, Unavailable
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.foreign_events.auth_graphs import AuthGraphs
from homeserver.services.foreign_events.decider import Decider
from homeserver.services.foreign_events.knowledge import Knowledge, Lacking
from homeserver.services.foreign_events.loader import Loader
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, ToldState, Verdict
from homeserver.services.foreign_events.receive_events import prepare_append
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.room_states import marker_of
from homeserver.services.foreign_events.store_outliers import StoreOutliers
from homeserver.services.rooms.append import TipMoved
from homeserver.services.rooms.event_writer import EventWriter
from homeserver.services.rooms.live_room import CurrentState, LiveRoom, RoomTip
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.event_states import EventStates
from homeserver.storage.outliers import Outliers

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_TRIES = 20


@dataclass(frozen=True, slots=True)
class AdoptRoom:
    """One verb."""

    queries: Queries
    cache: RoomCache
    writer: EventWriter
    loader: Loader
    graphs: AuthGraphs
    rows: EventStates
    outliers: Outliers
    store: StoreOutliers
    locks: RoomLocks
    server_name: str

    async def __call__(
        self, room_id: str, version: RoomVersion, join: Event, state: Sequence[Event], auth_chain: Sequence[Event]
    ) -> LiveRoom:
        """Come in by an event of ours (a join; signed by whom it needs) that `state` is the state before.

        The events have passed steps 1 to 3 of the receipt. Afterwards the event is the room's only extremity, `state` with
        it is in force, and the timeline has a gap before it, unless its prev events are here. State events that the rules
        do not allow are left out, as if they had not been told.
        Raises Forbidden where the event is not allowed in that state, BadGateway where the state is none,
        UnsupportedRoomVersion where the room has another version here, Unavailable.
        """
        async with self.locks.of(room_id):
            await self.outliers.correct_version(self.queries, room_id, version.version)
            told = await self._keep(room_id, version, state, auth_chain)
            arrival = Arrival(join, tuple(ToldState(event_id, told) for event_id in join.prev_event_ids))
            known = Knowledge(self.graphs.of(room_id))
            known.events.update((event.event_id, event) for event in state if told.get(event.key) == event.event_id)
            new = await self._new_room(room_id, version)
            for _ in range(MAX_TRIES):
                try:
                    room = await self._known_room(room_id) or new
                    if await self._enter(room, known, arrival):
                        return room
                except TipMoved:
                    continue
        raise Unavailable("The room is too busy, try again")

    async def _keep(
        self, room_id: str, version: RoomVersion, state: Sequence[Event], auth_chain: Sequence[Event]
    ) -> dict[StateKey, str]:
        """Store what was told; the state of it that is allowed."""
        told: dict[StateKey, str] = {}
        for event in state:
            if event.state_key is None or told.setdefault(event.key, event.event_id) != event.event_id:
                raise BadGateway("The room's state has an event that is not state, or two for the same key")
        events = {event.event_id: event for event in (*auth_chain, *state)}
        verdicts = await self.store.unlocked(room_id, version, list(events.values()))
        standings = await self._rejected(verdicts)
        allowed = {key: event_id for key, event_id in told.items() if event_id not in standings}
        create = events.get(allowed.get(("m.room.create", ""), ""))
        if create is None or create.room_id != room_id:
            raise BadGateway("The room's state has no create event that is valid")
        _check_one_create_event(create, events.values())
        return allowed

    async def _rejected(self, verdicts: Iterable[Verdict]) -> set[str]:
        rejected = {verdict.event_id for verdict in verdicts if verdict.outcome is Outcome.REJECTED}
        known = {verdict.event_id for verdict in verdicts if verdict.outcome is Outcome.KNOWN}
        return rejected | await self.store.rejected_among(known)

    async def _known_room(self, room_id: str) -> LiveRoom | None:
        try:
            return await self.cache.get(room_id)
        except NotFound:
            return None

    async def _new_room(self, room_id: str, version: RoomVersion) -> LiveRoom:
        room_nid, _ = await self.outliers.ensure_room(self.queries, room_id, version.version, self.store.clock.now_ms())
        state, tip = CurrentState(), RoomTip((), 0, 0)
        return LiveRoom(
            room_id=room_id, room_nid=room_nid, version=version, server_name=self.server_name, tip=tip, state=state
        )

    async def _enter(self, room: LiveRoom, known: Knowledge, arrival: Arrival) -> bool:
        """False: something was lacking, and is not any more. Raises TipMoved, Forbidden."""
        known.follow(marker_of(room))
        await self.loader.prepare(room, known, [arrival])
        await self.loader.load_told(room, known, arrival)
        if marker_of(room) != known.marker or room.retired:
            return False
        # What we had built before we were away is not what others build on.
        decider = Decider(room, known, alone=True)
        try:
            if room.tip.version:
                decider([arrival])
            else:  # nobody else has the room yet
                await asyncio.to_thread(decider, [arrival])
            verdict = decider.verdicts[0]
            if verdict.outcome is Outcome.KNOWN:
                return True
            if verdict.outcome is not Outcome.ACCEPTED:
                raise Forbidden(f"The room's state does not allow to come in: {verdict.reason}")
            append = prepare_append(room, decider, self.rows)
        except Lacking as lacking:
            await self.loader.load(room, known, [arrival], lacking)
            return False
        assert append is not None, "an accepted event is written"
        if not append.built_on:
            self.cache.add(room)
        self.writer.submit(append)
        await asyncio.shield(append.done)
        return True


def _check_one_create_event(create: Event, events: Iterable[Event]) -> None:
    """A server that makes up a second beginning of the room is not believed the rest."""
    if any(event.type == "m.room.create" and event.event_id != create.event_id for event in events):
        raise BadGateway("The room has more than one create event")
