"""Registration tokens as administrators see them: make, list, change, delete."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors, identifiers
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.audit.details import shortened
from homeserver.storage.registration_tokens import RegistrationToken, RegistrationTokens

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database

MAX_TOKEN_CHARACTERS = 64
DEFAULT_TOKEN_CHARACTERS = 16
MAX_USES = 2**31 - 1
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class TokenAdministration:
    """Verbs over registration tokens. Whether it is an administrator who asks has been checked before."""

    database: Database
    tokens: RegistrationTokens
    clock: Clock
    audit: AuditLog

    async def all(self, valid: bool | None = None) -> list[RegistrationToken]:
        """Every token, or only those that can (not) be used any more."""
        now_ms = self.clock.now_ms()
        found = await self.tokens.all(self.database, now_ms)
        return [token for token in found if valid is None or token.is_valid(now_ms) == valid]

    async def get(self, token: str) -> RegistrationToken:
        """Raises NotFound."""
        found = None
        if _is_possible(token):
            found = await self.tokens.get(self.database, token, self.clock.now_ms())
        if found is None:
            raise errors.NotFound("There is no such registration token")
        return found

    async def make(
        self,
        requester: Requester,
        token: str | None,
        length: int | None,
        uses_allowed: int | None,
        expires_ms: int | None,
    ) -> RegistrationToken:
        """Make a token, a random one where none is given. Raises InvalidParam."""
        length = DEFAULT_TOKEN_CHARACTERS if length is None else length
        if not 1 <= length <= MAX_TOKEN_CHARACTERS:
            raise errors.InvalidParam(f"'length' is between 1 and {MAX_TOKEN_CHARACTERS}")
        name = token if token is not None else "".join(secrets.choice(_ALPHABET) for _ in range(length))
        if not _is_possible(name):
            raise errors.InvalidParam(
                f"A token has 1 to {MAX_TOKEN_CHARACTERS} characters of A-Z, a-z, 0-9, '.', '_', '~' and '-'"
            )
        limits = {"uses_allowed": uses_allowed, "expires_ms": expires_ms}
        self._check(limits)
        async with self.database.transaction() as tx:
            if not await self.tokens.add(tx, name, uses_allowed, expires_ms, self.clock.now_ms()):
                raise errors.InvalidParam("This token exists already")
            await self.audit.record(tx, requester, "registration_token.create", shortened(name), limits)
        return RegistrationToken(name, uses_allowed, 0, expires_ms, 0)

    async def change(self, requester: Requester, token: str, changes: Mapping[str, int | None]) -> RegistrationToken:
        """Set `uses_allowed` and `expires_ms`, those that are given. Raises NotFound, InvalidParam."""
        self._check(changes)
        await self.get(token)
        async with self.database.transaction() as tx:
            await self.tokens.change(tx, token, changes)
            await self.audit.record(tx, requester, "registration_token.change", shortened(token), changes)
        return await self.get(token)

    async def delete(self, requester: Requester, token: str) -> None:
        """Raises NotFound."""
        async with self.database.transaction() as tx:
            if not _is_possible(token) or not await self.tokens.delete(tx, token):
                raise errors.NotFound("There is no such registration token")
            await self.audit.record(tx, requester, "registration_token.delete", shortened(token))

    def _check(self, changes: Mapping[str, int | None]) -> None:
        uses, expires_ms = changes.get("uses_allowed"), changes.get("expires_ms")
        if uses is not None and not 0 <= uses <= MAX_USES:
            raise errors.InvalidParam("'uses_allowed' is a number that is not negative, or null")
        if expires_ms is not None and expires_ms < self.clock.now_ms():
            raise errors.InvalidParam("'expiry_time' is a time in the future, in milliseconds, or null")


def _is_possible(token: str) -> bool:
    return len(token) <= MAX_TOKEN_CHARACTERS and identifiers.is_opaque_identifier(token)
