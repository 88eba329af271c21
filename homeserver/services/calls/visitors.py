"""Who asks a token service: somebody who shows an OpenID token, of this server or of another one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from homeserver.protocol.errors import MatrixError, Unauthorized
from homeserver.protocol.identifiers import is_server_name, server_name_of
from homeserver.storage.openid_tokens import TokenOwner

if TYPE_CHECKING:
    from homeserver.services.accounts.openid_tokens import OpenIdTokens

NOT_AUTHORISED = "The request could not be authorised."

log = logging.getLogger(__name__)


class RemoteOpenId(Protocol):
    """Asks another server whose token this is: `GET /_matrix/federation/v1/openid/userinfo`."""

    async def owner(self, server_name: str, token: str) -> str:
        """The user id as that server says. Raises a MatrixError where it does not know, or does not answer."""
        ...


class NoRemoteOpenId:
    """As long as this server does not speak to others."""

    __slots__ = ()

    async def owner(self, server_name: str, token: str) -> str:
        raise Unauthorized("Users of other servers cannot be verified by this server yet")


@dataclass(frozen=True, slots=True)
class Visitors:
    """One question."""

    server_name: str
    local: OpenIdTokens
    remote: RemoteOpenId

    async def verify(self, server_name: str, token: str, claimed_user_id: str | None = None) -> TokenOwner:
        """Whose token it is. Raises Unauthorized, also where that is not who he claims to be.

        On which device users of other servers are, their servers do not say.
        """
        if server_name == self.server_name:
            owner = await self._owner_here(token)
        else:
            owner = TokenOwner(await self._owner_there(server_name, token), None)
        if claimed_user_id not in (None, owner.user_id):
            raise Unauthorized(NOT_AUTHORISED)
        return owner

    async def _owner_here(self, token: str) -> TokenOwner:
        try:
            return await self.local.owner(token)
        except MatrixError as error:
            if error.status >= 500:
                raise
            # Not M_UNKNOWN_TOKEN, which means to clients that they are logged out.
            raise Unauthorized(NOT_AUTHORISED) from error

    async def _owner_there(self, server_name: str, token: str) -> str:
        if not is_server_name(server_name):
            raise Unauthorized(NOT_AUTHORISED)
        user_id = await self.remote.owner(server_name, token)
        if not user_id.startswith("@") or server_name_of(user_id) != server_name:
            log.warning("%s said that a token belongs to somebody of another server", server_name)
            raise Unauthorized(NOT_AUTHORISED)
        return user_id
