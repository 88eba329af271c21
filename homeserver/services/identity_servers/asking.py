"""What is asked of identity servers. Implemented in homeserver/federation/identity_client.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from homeserver.protocol import errors

MAX_ERROR_CHARACTERS: Final = 500
# RFC 6750, 2.1 has fewer; whatever can stand in a header will do.
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True, slots=True)
class IdentityReply:
    """Any answer that is a JSON object; an empty one where an error had no such body."""

    status: int
    body: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class AskIdentityServer(Protocol):
    """One request to an identity server that a client has named."""

    async def ask(
        self,
        id_server: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        signed: bool = False,
    ) -> IdentityReply:
        """`path`: under /_matrix/identity/v2. `signed`: as a server signs (X-Matrix).

        Raises InvalidParam for what is no server, ServerNotTrusted, ConnectionFailed, ConnectionTimeout, BadGateway.
        """
        ...

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        """What the identity server says at a `key_validity_url`; False where it says nothing."""
        ...


def check_token(token: str) -> str:
    """An access token of an identity server. Raises InvalidParam for what can be none."""
    if not _TOKEN.fullmatch(token):
        raise errors.InvalidParam("'id_access_token' has characters that no access token has")
    return token


def refusal(reply: IdentityReply) -> errors.MatrixError:
    """Its error for our client: "Homeservers should simply proxy any errors received by the identity server".

    But a token that the identity server does not know is not the one with which the client is signed in here.
    """
    if reply.status >= 500:
        return errors.BadGateway("The identity server has failed")
    errcode, message = reply.body.get("errcode"), reply.body.get("error")
    errcode = errcode if isinstance(errcode, str) and errcode else "M_UNKNOWN"
    message = message if isinstance(message, str) and message else f"The identity server answered {reply.status}"
    if reply.status == 401 or errcode in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"):
        return errors.MatrixError("M_UNAUTHORIZED", 403, f"The identity server: {message[:MAX_ERROR_CHARACTERS]}")
    status = reply.status if 400 <= reply.status < 500 else 502
    return errors.MatrixError(errcode[:255], status, message[:MAX_ERROR_CHARACTERS])
