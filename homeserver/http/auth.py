"""Who asks: finds the access token in a request and has it checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from homeserver.http.endpoint import Auth, Declaration
from homeserver.protocol import errors

if TYPE_CHECKING:
    from homeserver.http.query import Query
    from homeserver.services.requester import Requester


class Authenticator(Protocol):
    """Turns an access token into the one it was given to. Implemented by services/sessions."""

    async def authenticate(
        self,
        token: str,
        *,
        remote_address: str,
        user_agent: str,
        user_id: str | None = None,
        device_id: str | None = None,
    ) -> Requester:
        """Raises UnknownToken (with `soft_logout` where the token has merely expired).

        `user_id` and `device_id` are whom an application service wants to speak for (application service API,
        "Identity assertion"); they mean nothing with any other token.
        """
        ...


class ServerAuthenticator(Protocol):
    """Finds out which server signed a request. Implemented by federation/request_auth.py."""

    async def authenticate(
        self, authorization: Sequence[str], *, method: str, uri: str, body: bytes, remote_address: str
    ) -> str:
        """The name of that server. `authorization`: all headers of that name; `uri`: path and query as sent.

        Raises Unauthorized.
        """
        ...


class NoServers:
    """Where federation is switched off."""

    __slots__ = ()

    async def authenticate(
        self, authorization: Sequence[str], *, method: str, uri: str, body: bytes, remote_address: str
    ) -> str:
        raise errors.Forbidden("This server does not speak to others")


def find_token(headers: Mapping[str, str], query: Query, *, in_query: bool) -> str | None:
    """The access token of a request: `Authorization: Bearer`, or `?access_token=` (deprecated in v1.11) if allowed."""
    header = headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and token:
            return token
    if in_query and query.raw and "access_token" in query.raw:
        return query.string("access_token") or None
    return None


async def authenticate(
    authenticator: Authenticator, token: str, query: Query, *, remote_address: str, user_agent: str
) -> Requester:
    """Ask the authenticator, with whom the request claims to speak for."""
    if not query.raw:
        return await authenticator.authenticate(token, remote_address=remote_address, user_agent=user_agent)
    return await authenticator.authenticate(
        token,
        remote_address=remote_address,
        user_agent=user_agent,
        user_id=query.string("user_id"),
        # The second name is from before the parameter was part of the spec (v1.17); bridges still send it.
        device_id=query.string("device_id") or query.string("org.matrix.msc3202.device_id"),
    )


def check_allowed(declaration: Declaration, requester: Requester | None) -> None:
    """Refuse those whom the declaration keeps out.

    Raises MissingToken, UserLocked, ExpiredAccount, GuestAccessForbidden, UserSuspended or Forbidden.
    """
    if requester is None:
        if declaration.auth is not Auth.OPTIONAL:
            raise errors.MissingToken("Missing access token")
        return
    if not declaration.locked:
        if requester.is_locked:
            raise errors.UserLocked
        if requester.is_expired:
            raise errors.ExpiredAccount
    if requester.is_guest and not declaration.guests:
        raise errors.GuestAccessForbidden("Guests may not do this")
    if requester.is_suspended and not declaration.suspended:
        raise errors.UserSuspended
    if declaration.auth is Auth.ADMIN and not requester.is_admin:
        raise errors.Forbidden("Only an administrator of this server may do this")
