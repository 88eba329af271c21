"""Which server a request is from: the signature in its X-Matrix header, checked with that server's key.

Source: server-server API, "Request Authentication".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.keyring import WantedKey
from homeserver.federation.partners import EVERYBODY, Partners
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import InvalidSignature, Unauthorized
from homeserver.protocol.signing import verify_bytes
from homeserver.protocol.x_matrix import XMatrix, is_x_matrix, parse_x_matrix, signed_bytes
from homeserver.services.rate_limits import AnyRateLimiter, network_of

if TYPE_CHECKING:
    from homeserver.federation.keyring import Keyring
    from homeserver.federation.pauses import Pauses

MAX_HEADERS: Final = 8
"""One for each key that the other server signs with."""
MAX_QUICK_BYTES: Final = 64 * 1024
"""Larger bodies take long to read, and anybody can send them: that holds up nobody, and is counted before."""


@dataclass(frozen=True, slots=True)
class RequestAuthenticator:
    """`http.auth.ServerAuthenticator`."""

    server_name: str
    keyring: Keyring
    pauses: Pauses
    limiter: AnyRateLimiter
    partners: Partners = EVERYBODY

    async def authenticate(
        self, authorization: Sequence[str], *, method: str, uri: str, body: bytes, remote_address: str
    ) -> str:
        """The name of the server that sent this. `uri` is path and query as they came.

        Raises Unauthorized; NotAPartner (403); NotJson or BadJson for a body that cannot have been signed; LimitExceeded
        where too many requests of this address could not be believed.
        """
        claims = self._claims(authorization)
        # Before any key is fetched: of whom nothing is wanted, nothing is asked.
        self.partners.check(claims[0].origin)
        network, is_large = network_of(remote_address), len(body) > MAX_QUICK_BYTES
        if is_large or not any(self.keyring.remembers(each.origin, each.key_id) for each in claims):
            self.limiter.check_left("unknown_server", network)
        arguments = (body, method, uri, claims[0].origin, self.server_name)
        message = await asyncio.to_thread(_signed, *arguments) if is_large else _signed(*arguments)
        try:
            await self._verify(claims, message)
        except Unauthorized:
            self.limiter.count("unknown_server", network)
            raise
        origin = claims[0].origin
        self.pauses.reached(origin)
        return origin

    def _claims(self, authorization: Sequence[str]) -> Sequence[XMatrix]:
        headers = [each for each in authorization if is_x_matrix(each)]
        if not headers:
            raise Unauthorized("This endpoint is for other servers: the request needs an X-Matrix Authorization header")
        if len(headers) > MAX_HEADERS:
            raise Unauthorized(f"The request has more than {MAX_HEADERS} X-Matrix headers")
        claims = [parse_x_matrix(each) for each in headers]
        if len({each.origin for each in claims}) > 1:
            raise Unauthorized("The X-Matrix headers name different origins")
        # "For compatibility with older servers, recipients should accept requests without this parameter"
        if any(each.destination not in (None, self.server_name) for each in claims):
            raise Unauthorized("The request is meant for another server")
        return claims

    async def _verify(self, claims: Sequence[XMatrix], message: bytes) -> None:
        """One valid signature is enough: a server in the middle of changing its key signs with both."""
        now_ms = self.keyring.clock.now_ms()
        keys = await self.keyring.find([WantedKey(each.origin, each.key_id, now_ms) for each in claims])
        if not keys:
            raise Unauthorized("The key of the signature is not known, or is no longer valid")
        for each in claims:
            key = keys.get(WantedKey(each.origin, each.key_id, now_ms))
            if key is not None and _fits(message, each.signature, key):
                return
        raise Unauthorized("The signature does not fit the request")


def _signed(body: bytes, method: str, uri: str, origin: str, destination: str) -> bytes:
    """What was signed. Raises NotJson, BadJson."""
    return signed_bytes(method, uri, origin, destination, decode_lenient(body) if body else None)


def _fits(message: bytes, signature: bytes, key: bytes) -> bool:
    try:
        verify_bytes(message, signature, key)
    except InvalidSignature:
        return False
    return True
