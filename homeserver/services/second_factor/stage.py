"""The stage `org.voicechat.totp` of user-interactive authentication, and the same in a login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol import errors
from homeserver.services.second_factor.second_factor import STAGE, WRONG, SecondFactor
from homeserver.services.ui_auth.ui_auth import StageContext


@dataclass(frozen=True, slots=True)
class SecondFactorStage:
    """A code of one's own app, or a recovery code. Proves a user id."""

    factor: SecondFactor

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        code = code_of(auth)
        if context.user_id is None:
            raise errors.Forbidden(WRONG)
        await self.factor.check(context.user_id, code)
        return context.user_id


def code_of(auth: Mapping[str, Any]) -> str:
    """The code in an `auth` object. Raises MissingParam, BadJson."""
    code = auth.get("code")
    if code is None:
        raise errors.MissingParam("'auth' has no 'code'")
    if not isinstance(code, str):
        raise errors.BadJson("'auth.code' must be a string")
    return code


def code_of_login(auth: Mapping[str, Any] | None) -> str | None:
    """The code in the `auth` object of a login; None where there is no such object. Raises BadJson, MissingParam."""
    if not auth:
        return None
    if auth.get("type") != STAGE:
        raise errors.Unrecognized(f"'auth' of a login is of type {STAGE}")
    return code_of(auth)
