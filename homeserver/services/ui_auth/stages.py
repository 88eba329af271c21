"""The stages that can be completed: one class each, the spec's "Authentication types"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors, identifiers
from homeserver.services.accounts.credentials import WRONG, Credentials, identifier_of
from homeserver.services.ui_auth.ui_auth import StageContext
from homeserver.storage.registration_tokens import RegistrationTokens

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

DUMMY = "m.login.dummy"
PASSWORD = "m.login.password"
REGISTRATION_TOKEN = "m.login.registration_token"
RECAPTCHA = "m.login.recaptcha"

MAX_REGISTRATION_TOKEN_CHARACTERS = 64
MAX_RECAPTCHA_RESPONSE_CHARACTERS = 8192

VerifyCaptcha = Callable[[str, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class DummyStage:
    """ "Dummy authentication always succeeds and requires no extra parameters." """

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        return "done"


@dataclass(frozen=True, slots=True)
class PasswordStage:
    """The requester's own password. Proves a user id."""

    credentials: Credentials

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        identifier = identifier_of(auth)
        password = _text(auth, "password")
        user_id = await self.credentials.resolve(identifier)
        if user_id is not None and context.user_id is not None and user_id != context.user_id:
            # Not a failed attempt of the requester, so no 401 that asks for another one.
            # Somebody else's password, however right, says nothing about the requester: not even whether it is right.
            raise errors.MatrixError("M_FORBIDDEN", 403, WRONG)
        proved = (await self.credentials.check_password(identifier, password, context.ip)).user_id
        if context.user_id not in (None, proved):
            # Somebody else's of the same name, in another directory.
            raise errors.MatrixError("M_FORBIDDEN", 403, WRONG)
        return proved


@dataclass(frozen=True, slots=True)
class RegistrationTokenStage:
    """A token the administrator handed out. Proves the token; whoever registers uses it up."""

    queries: Queries
    tokens: RegistrationTokens
    clock: Clock

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        token = _text(auth, "token")
        if not await self.is_usable(token):
            raise errors.Forbidden("This registration token is not valid")
        return token

    async def is_usable(self, token: str) -> bool:
        """Whether somebody could register with the token now."""
        if len(token) > MAX_REGISTRATION_TOKEN_CHARACTERS or not identifiers.is_opaque_identifier(token):
            return False
        return await self.tokens.is_usable(self.queries, token, self.clock.now_ms())


@dataclass(frozen=True, slots=True)
class RecaptchaStage:
    """A captcha solved in the client; `verify(response, ip)` asks the captcha's server."""

    verify: VerifyCaptcha

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        response = _text(auth, "response")
        if len(response) > MAX_RECAPTCHA_RESPONSE_CHARACTERS or not await self.verify(response, context.ip):
            raise errors.CaptchaInvalid("The captcha was not solved")
        return "solved"


def _text(auth: Mapping[str, Any], name: str) -> str:
    value = auth.get(name)
    if value is None:
        raise errors.MissingParam(f"'auth' has no '{name}'")
    if not isinstance(value, str):
        raise errors.BadJson(f"'auth.{name}' must be a string")
    return value
