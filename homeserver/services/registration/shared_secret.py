"""Registration by tools that know the server's shared secret, in the way of Synapse's `register_new_matrix_user`.

The secret itself never travels: the tool asks for a nonce and signs the nonce with the account it wants.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import SHARED_SECRET, AuditLog
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.registration.registration import Registered
from homeserver.services.sessions.sessions import Sessions, SessionWish
from homeserver.services.text_limits import check_text

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

NONCE_LIFETIME_MS = 60_000
MAX_NONCES = 1000
MAX_USER_TYPE_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What the tool wants, and its signature (hexadecimal HMAC-SHA1)."""

    nonce: str
    username: str
    password: str
    mac: str
    admin: bool = False
    user_type: str | None = None
    inhibit_login: bool = False


@dataclass(frozen=True, slots=True)
class SharedSecretRegistration:
    """One verb behind a nonce. Nonces live in memory: a restart merely lets the tool ask again."""

    secret: str | None
    accounts: NewAccounts
    sessions: Sessions
    clock: Clock
    audit: AuditLog
    _nonces: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def new_nonce(self) -> str:
        """Good for one request within a minute. Raises Unknown where the server has no shared secret."""
        self._secret()
        self._forget_expired()
        nonce = secrets.token_hex(32)
        self._nonces[nonce] = self.clock.now_ms() + NONCE_LIFETIME_MS
        if len(self._nonces) > MAX_NONCES:
            self._nonces.popitem(last=False)
        return nonce

    async def register(self, request: SignedRequest, *, ip: str = "", user_agent: str = "") -> Registered:
        """Make the account, and sign it in unless told not to.

        Raises Unknown (no secret, no such nonce), Forbidden (wrong signature), what `create_account` raises.
        """
        secret = self._secret()
        self._forget_expired()
        if self._nonces.pop(request.nonce, None) is None:
            raise errors.Unknown("This nonce is not known (any more)")
        if not hmac.compare_digest(_signature(secret, request), request.mac.encode("utf-8", "surrogatepass")):
            raise errors.Forbidden("The signature is not that of the shared secret")
        if request.user_type is not None:
            check_text(request.user_type, "user_type", MAX_USER_TYPE_CHARACTERS)
        user_id = await self._create(request, ip)
        if request.inhibit_login:
            return Registered(user_id, None)
        return Registered(user_id, await self.sessions.log_in(user_id, SessionWish(ip=ip, user_agent=user_agent)))

    async def _create(self, request: SignedRequest, ip: str) -> str:
        async def record(tx: Queries, user_id: str) -> None:
            details = {"admin": request.admin, "user_type": request.user_type}
            await self.audit.record_as(tx, SHARED_SECRET, "user.create", user_id, details, address=ip)

        return await self.accounts.create_account(
            request.username, request.password, admin=request.admin, user_type=request.user_type, then=[record]
        )

    def _secret(self) -> str:
        if not self.secret:
            raise errors.Unknown("Registration with a shared secret is not enabled")
        return self.secret

    def _forget_expired(self) -> None:
        while self._nonces and next(iter(self._nonces.values())) <= self.clock.now_ms():
            self._nonces.popitem(last=False)


def _signature(secret: str, request: SignedRequest) -> bytes:
    parts = [request.nonce, request.username, request.password, "admin" if request.admin else "notadmin"]
    if request.user_type:
        parts.append(request.user_type)
    message = "\0".join(parts).encode("utf-8", "surrogatepass")
    # SHA-1 is what the tools speak. As HMAC it is not broken, and the nonce is ours.
    return hmac.new(secret.encode(), message, hashlib.sha1).hexdigest().encode()
