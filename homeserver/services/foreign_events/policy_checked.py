"""Step 7 of the "Checks performed on receipt of a PDU": what the room's policy server does not recommend is soft-failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from homeserver.protocol.errors import MatrixError
from homeserver.protocol.policy_server import PolicyServer, is_checked, is_recommended
from homeserver.services.fair_turns import FairTurns
from homeserver.services.foreign_events.outcomes import Arrival, Verdict
from homeserver.services.rooms.policy_servers import PolicyServers, policy_server_in
from homeserver.services.rooms.room_cache import RoomCache

ASKED_AT_ONCE: Final = 32
ASKED_OF_ONE: Final = 4
"""Of one policy server: the rooms of one that takes its time wait for it, and other rooms do not."""

log = logging.getLogger(__name__)

Receive = Callable[[str, Sequence[Arrival]], Awaitable[list[Verdict]]]


@dataclass(frozen=True, slots=True)
class ReceivePolicyChecked:
    """`ReceiveEvents`, behind the policy server where a room has one."""

    cache: RoomCache
    receive: Receive
    policy_servers: PolicyServers
    _turns: FairTurns = field(default_factory=lambda: FairTurns(ASKED_AT_ONCE, ASKED_OF_ONE))

    async def __call__(self, room_id: str, arrivals: Sequence[Arrival]) -> list[Verdict]:
        """Raises as `ReceiveEvents`."""
        policy_server = policy_server_in(await self.cache.get(room_id))
        if policy_server is not None:
            arrivals = await asyncio.gather(*(self._checked(policy_server, each) for each in arrivals))
        return await self.receive(room_id, arrivals)

    async def _checked(self, policy_server: PolicyServer, arrival: Arrival) -> Arrival:
        """ "If the Policy Server's signature is invalid or missing, the homeserver SHOULD ask for a new signature." """
        event = arrival.event
        checked = is_checked(event.type, event.state_key)
        if not checked or is_recommended(event.pdu, event.room_version, policy_server):
            return arrival
        try:
            async with self._turns.of(policy_server.name):
                return replace(arrival, event=await self.policy_servers.sign(policy_server, event))
        except MatrixError as error:
            log.info("%s does not recommend %s: %s", policy_server.name, event.event_id, error)
            return replace(arrival, unwanted=f"The policy server does not recommend it: {error.message}")
