"""`POST /_matrix/policy/v1/sign`: what a room's policy server says of an event. Server-server API, "Policy Servers"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.client import Call, Limits
from homeserver.federation.errors import BadAnswer, RemoteRefused
from homeserver.protocol.errors import Forbidden, InvalidSignature, LimitExceeded, MatrixError
from homeserver.protocol.events import Event
from homeserver.protocol.policy_server import PolicyServer, with_recommendation

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient

SIGN: Final = "/_matrix/policy/v1/sign"
LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=64 * 1024)
MAX_MESSAGE_CHARACTERS: Final = 500
MAX_RETRY_AFTER_MS: Final = 60 * 60_000


@dataclass(frozen=True, slots=True)
class AskPolicyServer:
    """`services.rooms.policy_servers.PolicyServers`."""

    client: FederationClient

    async def sign(self, policy_server: PolicyServer, event: Event, *, insist: bool = False) -> Event:
        """Raises Forbidden, LimitExceeded, BadAnswer, and as `FederationClient.call`."""
        call = Call("POST", SIGN, event.pdu, insist=insist, limits=LIMITS)
        try:
            answer = await self.client.call(policy_server.name, call)
            signed = with_recommendation(event.pdu, event.room_version, policy_server, answer)
        except RemoteRefused as error:
            raise _told(error) from error
        except InvalidSignature as error:
            raise BadAnswer("The policy server did not sign the event with the key that the room has of it") from error
        return Event.from_pdu(signed, event.room_version, event.event_id)


def _told(error: RemoteRefused) -> MatrixError:
    """ "That error SHOULD be provided to the client verbatim", where it is about the event.

    An errcode about tokens, say, would tell our client to sign out.
    """
    remote = error.remote
    if remote.status == 429:
        retry_after_ms = remote.data.get("retry_after_ms")
        known = isinstance(retry_after_ms, int) and 0 <= retry_after_ms <= MAX_RETRY_AFTER_MS
        return LimitExceeded(_message(remote), retry_after_ms=retry_after_ms if known else None)
    if remote.status in (400, 403, 404):
        # 400 in the specification; to clients an event that may not be sent is 403.
        return Forbidden(_message(remote))
    return error


def _message(remote: MatrixError) -> str:
    return remote.message[:MAX_MESSAGE_CHARACTERS]
