"""Rooms that have every event checked by a policy server, before it is sent and when it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from homeserver.protocol.policy_server import EVENT_TYPE, PolicyServer, policy_server_of
from homeserver.services.rooms.live_room import LiveRoom

if TYPE_CHECKING:
    from homeserver.protocol.events import Event


class PolicyServers(Protocol):
    """Implemented by federation/policy_servers.py."""

    async def sign(self, policy_server: PolicyServer, event: Event, *, insist: bool = False) -> Event:
        """The event with the policy server's signature. `insist`: a person waits for it.

        Raises MatrixError: what the policy server says against it, or that it gave no answer.
        """
        ...


def policy_server_in(room: LiveRoom) -> PolicyServer | None:
    """The policy server that the room uses: named by its state, and in it, "otherwise a room would be able to force a Policy
    Server to participate".
    """
    event = room.state.get(EVENT_TYPE)
    if event is None:
        return None
    policy_server = policy_server_of(event.content)
    return policy_server if policy_server is not None and room.is_in(policy_server.name) else None
