"""`make_knock` and `send_knock`: asking to be let into a room that we are not in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.federation.client import Call, request_uri
from homeserver.federation.travel.handshake import Handshake
from homeserver.federation.travel.paths import SIGNED_LIMITS, V1
from homeserver.federation.travel.stripped import read_stripped
from homeserver.federation.travel.template import MemberWish
from homeserver.protocol.events import Event

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient


@dataclass(frozen=True, slots=True)
class Knock:
    """A knock that was heard, and what the room shows to those outside."""

    event: Event
    stripped: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Knocking:
    """One verb."""

    client: FederationClient
    handshake: Handshake

    async def __call__(self, resident: str, wish: MemberWish) -> Knock:
        """Knock by way of `resident`. Raises as `Handshake.make`."""
        knock = await self.handshake.make(resident, wish)
        uri = request_uri(f"{V1}/send_knock", knock.room_id, knock.event_id)
        answer = await self.client.call(resident, Call("PUT", uri, knock.pdu, limits=SIGNED_LIMITS))
        # Servers of before the endpoint was stable used the other name.
        shown = answer.get("knock_room_state", answer.get("knock_state_events"))
        return Knock(knock, read_stripped(shown))
