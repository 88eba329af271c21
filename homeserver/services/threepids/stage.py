"""The stage m.login.email.identity: an address that was confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol import errors
from homeserver.services.threepids.proofs import REGISTER, RESET, Proofs
from homeserver.services.ui_auth.ui_auth import StageContext
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

EMAIL_IDENTITY: Final = "m.login.email.identity"
PURPOSES: Final[Mapping[str, str]] = {"POST /register": REGISTER, "POST /account/password": RESET}


@dataclass(frozen=True, slots=True)
class EmailStage:
    """Proves the id of a confirmed session; whoever acts on it uses it up (`Proofs.use`)."""

    queries: Queries
    users: Users
    proofs: Proofs

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        session_id, client_secret = _credentials(auth)
        purpose = PURPOSES.get(context.operation)
        proof = None if purpose is None else await self.proofs.confirmed(session_id, client_secret, purpose)
        if proof is None:
            # What clients wait for while people look for the mail.
            raise errors.Unauthorized("The address has not been confirmed yet")
        if purpose == REGISTER and await self.users.owner_of_threepid(self.queries, proof.medium, proof.address):
            raise errors.ThreepidInUse("An account here has this address already")
        return session_id


def _credentials(auth: Mapping[str, Any]) -> tuple[str, str]:
    # The second spelling is that of clients of before the specification.
    credentials = auth.get("threepid_creds", auth.get("threepidCreds"))
    if credentials is None:
        raise errors.MissingParam("'auth' has no 'threepid_creds'")
    if not isinstance(credentials, dict):
        raise errors.BadJson("'auth.threepid_creds' must be an object")
    session_id, client_secret = credentials.get("sid"), credentials.get("client_secret")
    if not isinstance(session_id, str) or not isinstance(client_secret, str):
        raise errors.MissingParam("'auth.threepid_creds' has no 'sid' or no 'client_secret'")
    return session_id, client_secret
