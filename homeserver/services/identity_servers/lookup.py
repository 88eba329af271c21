"""Whose address is it? Identity service API, "Looking up": hashed, so that the question tells no address."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_user_id
from homeserver.services.identity_servers.asking import AskIdentityServer, IdentityReply, refusal

MAX_PEPPER_CHARACTERS: Final = 1_000
SHA256: Final = "sha256"
ATTEMPTS: Final = 2
"""The pepper may change between two questions."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """One verb."""

    identity: AskIdentityServer

    async def __call__(self, id_server: str, token: str, medium: str, address: str) -> str | None:
        """The user id that the identity server knows for the address; None where it knows none.

        Raises what `AskIdentityServer` raises, and the identity server's own errors.
        """
        for attempt in range(ATTEMPTS):
            pepper = await self._pepper(id_server, token)
            digest = hashed(medium, address, pepper)
            question = {"addresses": [digest], "algorithm": SHA256, "pepper": pepper}
            reply = await self.identity.ask(id_server, "POST", "/lookup", question, token=token)
            if reply.is_success:
                return _mapped(reply, digest)
            if reply.body.get("errcode") != "M_INVALID_PEPPER" or attempt + 1 == ATTEMPTS:
                break
        raise refusal(reply)

    async def _pepper(self, id_server: str, token: str) -> str:
        reply = await self.identity.ask(id_server, "GET", "/hash_details", token=token)
        if not reply.is_success:
            raise refusal(reply)
        pepper, algorithms = reply.body.get("lookup_pepper"), reply.body.get("algorithms")
        if not isinstance(pepper, str) or not isinstance(algorithms, list) or len(pepper) > MAX_PEPPER_CHARACTERS:
            raise errors.BadGateway("The identity server does not say how to look somebody up")
        if SHA256 not in algorithms:
            # The other one, "none", would tell it addresses of people who have nothing to do with it.
            raise errors.BadGateway("The identity server knows no way to look somebody up that we do")
        return pepper


def hashed(medium: str, address: str, pepper: str) -> str:
    """ "address medium pepper", as unpadded URL-safe base64 of its SHA-256."""
    digest = hashlib.sha256(f"{address} {medium} {pepper}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _mapped(reply: IdentityReply, digest: str) -> str | None:
    mappings = reply.body.get("mappings")
    found = mappings.get(digest) if isinstance(mappings, dict) else None
    return found if isinstance(found, str) and is_user_id(found) else None
