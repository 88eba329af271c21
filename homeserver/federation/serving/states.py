"""The state before an event, with all that allowed it: /state, /state_ids, /event_auth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.federation.serving.admission import Admission
from homeserver.federation.serving.past import NO_SUCH_EVENT
from homeserver.federation.serving.pdus import StoredPdus, json_of_lists
from homeserver.federation.serving.places import is_outlier
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import LimitExceeded, NotFound
from homeserver.protocol.events import referenced_ids
from homeserver.services.foreign_events.pdu_store import AuthChains
from homeserver.services.foreign_events.room_states import RoomStates
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import REJECTED
from homeserver.storage.event_graph import EventGraph, StoredNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from homeserver.storage.database import Queries

MAX_AT_ONCE: Final = 3
"""Questions for whole states of one server that are answered at the same time."""


@dataclass(slots=True)
class Turns:
    """How many heavy questions of each server are under way."""

    most: int = MAX_AT_ONCE
    _under_way: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def one(self, origin: str) -> Iterator[None]:
        """Raises LimitExceeded."""
        count = self._under_way.get(origin, 0)
        if count >= self.most:
            raise LimitExceeded("Too many questions for whole states at once", retry_after_ms=1_000)
        self._under_way[origin] = count + 1
        try:
            yield
        finally:
            self._under_way[origin] -= 1
            if not self._under_way[origin]:
                del self._under_way[origin]


@dataclass(frozen=True, slots=True)
class ServeStates:
    """Verbs for servers in the room. State is not hidden from them: they need it to decide what is allowed."""

    queries: Queries
    admission: Admission
    graph: EventGraph
    states: RoomStates
    chains: AuthChains
    pdus: StoredPdus
    turns: Turns = field(default_factory=Turns)

    async def ids(self, origin: str, room_id: str, event_id: str) -> tuple[list[str], list[str]]:
        """The ids of the state before the event and those of its auth chain. Raises NotFound, Forbidden."""
        with self.turns.one(origin):
            _, state, chain = await self._state(origin, room_id, event_id)
            return state, chain

    async def whole(self, origin: str, room_id: str, event_id: str) -> AsyncIterator[bytes]:
        """The same as a JSON object of PDUs, in pieces. Raises NotFound, Forbidden, before the first piece."""
        with self.turns.one(origin):
            room, state, chain = await self._state(origin, room_id, event_id)
            found = await self.pdus.json(list(dict.fromkeys([*state, *chain])), room.version)
            return json_of_lists(
                {
                    "pdus": [found[each] for each in state if each in found],
                    "auth_chain": [found[each] for each in chain if each in found],
                }
            )

    async def event_auth(self, origin: str, room_id: str, event_id: str) -> AsyncIterator[bytes]:
        """The auth chain of any event of the room. Raises NotFound, Forbidden."""
        with self.turns.one(origin):
            room = await self.admission.enter(room_id, origin)
            node = await self._node(room, event_id)
            cited = _cited(room, node)
            chain = list(dict.fromkeys([*cited, *await self.chains.of(cited)]))
            found = await self.pdus.json(chain, room.version)
            return json_of_lists({"auth_chain": list(found.values())})

    async def _state(self, origin: str, room_id: str, event_id: str) -> tuple[LiveRoom, list[str], list[str]]:
        room = await self.admission.enter(room_id, origin)
        node = await self._node(room, event_id)
        if is_outlier(node) or node.flags & REJECTED:
            # Nobody builds on a rejected event: the state at it is a question that only a server with other rules asks.
            raise NotFound("This server does not know the state at this event")
        state = list((await self.states.before(room, event_id)).values())
        return room, state, await self.chains.of(state)

    async def _node(self, room: LiveRoom, event_id: str) -> StoredNode:
        node = (await self.graph.nodes(self.queries, room.room_nid, [event_id])).get(event_id)
        if node is None:
            raise NotFound(NO_SUCH_EVENT)
        return node


def _cited(room: LiveRoom, node: StoredNode) -> list[str]:
    """Room version 12: events name the create event by their room id alone, and it authorises them all the same."""
    cited = list(referenced_ids(decode_lenient(node.envelope)["auth_events"], room.version))
    create_id = "$" + room.room_id[1:]
    if room.version.room_id_is_create_event_id and node.event_id != create_id:
        cited.append(create_id)
    return cited
