"""`send_join`: the second half of the handshake, with the state of the room as its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.federation.client import Call, request_uri
from homeserver.federation.errors import RemoteRefused
from homeserver.federation.travel.handshake import Handshake
from homeserver.federation.travel.join_answer import JoinAnswer, read_join_answer
from homeserver.federation.travel.paths import JOIN_LIMITS, V1, V2
from homeserver.federation.travel.refusals import is_unknown_endpoint
from homeserver.federation.travel.room_state import CheckRoomState, ToldRoom
from homeserver.federation.travel.template import MemberWish
from homeserver.protocol.events import Event

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient


@dataclass(frozen=True, slots=True)
class Joining:
    """Two verbs, for rooms that are new to us and for those that we are in. Both raise as `Handshake.make`."""

    client: FederationClient
    handshake: Handshake
    check: CheckRoomState

    async def enter(self, resident: str, wish: MemberWish) -> ToldRoom:
        """Join by way of `resident`; returns what the room is. The room knows of the join then, we do not yet."""
        join = await self.handshake.make(resident, wish)
        return await self.check(await self._send(resident, join), join)

    async def be_vouched_for(self, resident: str, wish: MemberWish) -> Event:
        """Join a room that we are in, for which `resident` has to sign too; returns the join with both signatures."""
        join = await self.handshake.make(resident, wish)
        answer = await self._send(resident, join)
        return await self.check.signed_join(answer.event, join)

    async def _send(self, resident: str, join: Event) -> JoinAnswer:
        try:
            body = await self.client.body(resident, _call(V2, join, query={"omit_members": "false"}))
        except RemoteRefused as error:
            if not is_unknown_endpoint(error):
                raise
            body = await self.client.body(resident, _call(V1, join))
        return await asyncio.to_thread(read_join_answer, body)


def _call(version: str, join: Event, **options: Any) -> Call:
    uri = request_uri(f"{version}/send_join", join.room_id, join.event_id, **options)
    return Call("PUT", uri, join.pdu, limits=JOIN_LIMITS)
