"""The first half of every handshake: a template is asked for, checked, filled in and signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.client import Call, request_uri
from homeserver.federation.errors import BadAnswer, RemoteRefused
from homeserver.federation.travel.paths import TEMPLATE_LIMITS, V1
from homeserver.federation.travel.refusals import of_template
from homeserver.federation.travel.template import MemberWish, read_template
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.event_format import check_event_format
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import SigningKey
from homeserver.services.clock import Clock

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient

VERSIONS: Final = [("ver", version) for version in ROOM_VERSIONS]
_MAKE: Final = {"join": "make_join", "leave": "make_leave", "knock": "make_knock"}


@dataclass(frozen=True, slots=True)
class Handshake:
    """One verb."""

    client: FederationClient
    clock: Clock
    server_name: str
    signing_key: SigningKey

    async def make(self, resident: str, wish: MemberWish) -> Event:
        """Our member event, signed by us, at the place that `resident` gives it.

        Raises BadAnswer, IncompatibleRoomVersion, what the other server says of our wish, and as `FederationClient.call`.
        """
        # "The room versions the sending server has support for": of no use for leaving.
        is_leave = wish.membership == "leave"
        query = None if is_leave else VERSIONS
        uri = request_uri(f"{V1}/{_MAKE[wish.membership]}", wish.room_id, wish.user_id, query=query)
        try:
            answer = await self.client.call(resident, Call("GET", uri, limits=TEMPLATE_LIMITS, insist=not is_leave))
        except RemoteRefused as error:
            raise of_template(error) from error
        template = read_template(answer, wish, resident, self.clock.now_ms())
        try:
            event = hash_and_sign(template.pdu, template.version, self.server_name, self.signing_key)
            check_event_format(event.pdu, template.version)
        except MatrixError as error:
            raise BadAnswer("The other server's template does not make an event") from error
        return event
