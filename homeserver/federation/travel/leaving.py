"""`make_leave` and `send_leave`: an invitation declined, or a knock taken back, in a room that we are not in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.federation.client import Call, request_uri
from homeserver.federation.errors import RemoteRefused
from homeserver.federation.travel.handshake import Handshake
from homeserver.federation.travel.paths import SIGNED_LIMITS, V1, V2
from homeserver.federation.travel.refusals import is_unknown_endpoint
from homeserver.federation.travel.template import MemberWish
from homeserver.protocol.events import Event

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient


@dataclass(frozen=True, slots=True)
class Leaving:
    """One verb."""

    client: FederationClient
    handshake: Handshake

    async def __call__(self, resident: str, wish: MemberWish) -> Event:
        """The leave, which the room knows of afterwards. Raises as `Handshake.make`."""
        leave = await self.handshake.make(resident, wish)
        try:
            await self.client.call(resident, _call(V2, leave, paired=False))
        except RemoteRefused as error:
            if not is_unknown_endpoint(error):
                raise
            await self.client.call(resident, _call(V1, leave, paired=True))
        return leave


def _call(version: str, leave: Event, paired: bool) -> Call:
    uri = request_uri(f"{version}/send_leave", leave.room_id, leave.event_id)
    return Call("PUT", uri, leave.pdu, paired=paired, limits=SIGNED_LIMITS)
