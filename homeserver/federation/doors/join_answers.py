"""What a server gets for a join that was accepted: the room's state before it, and all that allowed that state.

Source: server-server API, "PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from homeserver.federation.doors.submissions import Submissions
from homeserver.federation.serving.pdus import json_of_lists
from homeserver.protocol.events import Event, StateMap
from homeserver.protocol.identifiers import server_name_of
from homeserver.protocol.pdu_bytes import encode_pdu
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.foreign_events.pdu_store import AuthChains
from homeserver.services.foreign_events.room_states import RoomStates
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.sync.summary import summary_of

MEMBER = "m.room.member"


class PduBytes(Protocol):
    """federation/serving/pdus.py: spliced, never parsed."""

    async def json(self, event_ids: Sequence[str], version: RoomVersion) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class JoinAnswers:
    """One verb. The answer is three statements, however many members the room has."""

    server_name: str
    joins: Submissions
    states: RoomStates
    chains: AuthChains
    pdus: PduBytes

    async def __call__(
        self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any], *, omit_members: bool
    ) -> AsyncIterator[bytes]:
        """Let the join in, and answer with a JSON object in pieces. Raises as `Submissions.join`.

        `omit_members`: "membership events are omitted from `state`".
        """
        admitted = await self.joins.join(origin, room_id, event_id, pdu)
        room, join = admitted.room, admitted.event
        state = await self.states.before(room, join.event_id)
        if omit_members:
            state = without_members(state, room, join.sender)
        shown = list(state.values())
        chain = await self._chain(join, shown, omit_members)
        found = await self.pdus.json(list(dict.fromkeys([*shown, *chain])), room.version)
        lists = {
            "state": [found[each] for each in shown if each in found],
            "auth_chain": [found[each] for each in chain if each in found],
        }
        return _pieces(self._head(room, join, omit_members), lists)

    async def _chain(self, join: Event, shown: Sequence[str], omit_members: bool) -> list[str]:
        """ "If `omit_members` was set, any events that are returned in `state` may be omitted from `auth_chain`." """
        chain = await self.chains.of([join.event_id, *shown])
        left_out = {join.event_id, *shown} if omit_members else {join.event_id}
        return [each for each in chain if each not in left_out]

    def _head(self, room: LiveRoom, join: Event, omit_members: bool) -> bytes:
        head: dict[str, Any] = {
            "origin": self.server_name,
            "members_omitted": omit_members,
            "event": orjson.Fragment(encode_pdu(join.pdu, room.version)),
        }
        if omit_members:
            head["servers_in_room"] = servers_before(room, join.sender)
        return orjson.dumps(head)


def without_members(state: StateMap[str], room: LiveRoom, joining: str) -> dict[tuple[str, str], str]:
    """The state without members, but with the heroes of a room that has neither a name nor an alias."""
    heroes = set(summary_of(room, joining).heroes or ())
    return {key: event_id for key, event_id in state.items() if key[0] != MEMBER or key[1] in heroes}


def servers_before(room: LiveRoom, joining: str) -> list[str]:
    """ "The servers active in the room (ie, those with joined members) before the join." """
    came_now = server_name_of(joining) if joining in room.joined else None
    return sorted(name for name, users in room.servers.items() if name != came_now or users > 1)


async def _pieces(head: bytes, lists: Mapping[str, Sequence[bytes]]) -> AsyncIterator[bytes]:
    """One object of both: the lists follow the members of the head."""
    yield head[:-1]
    opening = b","
    async for piece in json_of_lists(lists):
        yield opening + piece[1:] if opening else piece
        opening = b""
