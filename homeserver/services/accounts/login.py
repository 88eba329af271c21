"""Login with a password, or with a token that another device of the same user asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver.protocol import errors
from homeserver.services.accounts.credentials import Credentials
from homeserver.services.accounts.login_tokens import LoginTokens
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.second_factor.login import LoginFactor
from homeserver.services.sessions.sessions import OpenedSession, Sessions, SessionWish

FromBrowser = Callable[[str, str, int], Awaitable[None]]
IsCrossSigningKey = Callable[[str, str], Awaitable[bool]]
# Unpadded base64 of 32 bytes. No other device id can be that of a key.
KEY_CHARACTERS = 43


@dataclass(frozen=True, slots=True)
class Login:
    """Proves who somebody is, then opens a session."""

    credentials: Credentials
    sessions: Sessions
    tokens: LoginTokens
    second_factor: LoginFactor
    audit: AuditLog
    is_cross_signing_key: IsCrossSigningKey | None = None
    more_flows: list[Mapping[str, Any]] = field(default_factory=list)
    """Filled by other groups: ways that begin in a browser."""
    on_from_browser: list[FromBrowser] = field(default_factory=list)
    """Called after the commit with the user, his device, and the browser in which he had signed in."""

    @property
    def flows(self) -> list[Mapping[str, Any]]:
        """What GET /login offers."""
        return [
            {"type": "m.login.password"},
            {"type": "m.login.token", "get_login_token": True},
            {"type": "m.login.application_service"},
            *self.more_flows,
        ]

    async def with_password(
        self, identifier: Mapping[str, Any], password: str, wish: SessionWish, code: str | None = None
    ) -> OpenedSession:
        """`code`: of the account's second factor. Raises Forbidden, UserDeactivated, InvalidParam, LimitExceeded,
        Unavailable; 401 where a code is missing.
        """
        user_id = await self.credentials.resolve(identifier)
        password, code = await self.second_factor.split(user_id, password, code)
        try:
            user = await self.credentials.check_password(identifier, password, wish.ip)
            await self.second_factor.check(user.user_id, code)
        except errors.Forbidden:
            await self._record("nobody", "login.failed", await self.credentials.known_as(identifier), {}, wish)
            raise
        opened = await self._log_in(user.user_id, wish)
        details = {"device": opened.device_id, "second_factor": code is not None}
        await self._record(user.user_id, "login.password", user.user_id, details, wish)
        return opened

    async def _record(self, who: str, action: str, target: str, details: Mapping[str, Any], wish: SessionWish) -> None:
        await self.audit.record_as(self.audit.queries, who, action, target, details, address=wish.ip)

    async def with_token(self, token: str, wish: SessionWish) -> OpenedSession:
        """Raises Forbidden, UserDeactivated, InvalidParam."""
        found = await self.tokens.redeem(token)
        opened = await self._log_in(found.user_id, wish)
        if found.browser_id is not None:
            for hook in self.on_from_browser:
                await hook(found.user_id, opened.device_id, found.browser_id)
        return opened

    async def _log_in(self, user_id: str, wish: SessionWish) -> OpenedSession:
        await self.check_device_id(user_id, wish.device_id)
        return await self.sessions.log_in(user_id, wish)

    async def check_device_id(self, user_id: str, device_id: str | None) -> None:
        """ "The given device ID must not be the same as a cross-signing key ID." Raises Forbidden."""
        if device_id is None or self.is_cross_signing_key is None or len(device_id) != KEY_CHARACTERS:
            return
        if await self.is_cross_signing_key(user_id, device_id):
            raise errors.Forbidden("This device id is the id of a cross-signing key")
