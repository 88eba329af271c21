"""The password form of the sign-in page, and the second factor behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import MAX_ADDRESS_CHARACTERS
from homeserver.services.accounts.credentials import Credentials
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions

SIGN_IN_FAILED = "browser.sign_in_failed"


class SecondFactor(Protocol):
    """What an account may have beside its password, such as one-time codes."""

    @property
    def name(self) -> str:
        """How it is called among the methods, such as "totp"."""
        ...

    async def is_required(self, user_id: str) -> bool: ...

    async def check(self, user_id: str, code: str) -> None:
        """Raises Forbidden; LimitExceeded after too many guesses."""
        ...


@dataclass(frozen=True, slots=True)
class PasswordSignIn:
    """Either step returns the browser and the pending; the first leaves `pending.half` where a code is owed."""

    browsers: BrowserSessions
    credentials: Credentials
    audit: AuditLog
    second_factors: list[SecondFactor] = field(default_factory=list)

    async def with_password(
        self, browser: Browser, pending: Pending, user: str, password: str, address: str
    ) -> tuple[Browser, Pending]:
        """`user`: name, Matrix id or mail address. Raises Forbidden, LimitExceeded, UserDeactivated, UserLocked."""
        if not user or len(user) > MAX_ADDRESS_CHARACTERS or "\0" in user:
            raise errors.Forbidden
        try:
            found = await self.credentials.check_password(_identifier(user), password, address)
        except errors.Forbidden:
            await self._failed(await self.credentials.known_as(_identifier(user)), "password", address)
            raise
        user_id = found.user_id
        for factor in self.second_factors:
            if await factor.is_required(user_id):
                return browser, await self.browsers.prove_half(pending, user_id, ("password",))
        return await self.browsers.signed_in(browser, pending, user_id, ("password",), address)

    async def with_code(self, browser: Browser, pending: Pending, code: str, address: str) -> tuple[Browser, Pending]:
        """The second step. Raises Forbidden, LimitExceeded; NotFound where the first is too long ago."""
        half = pending.half
        if half is None:
            raise errors.NotFound("That took too long: begin again with your password.")
        for factor in self.second_factors:
            if await factor.is_required(half.user_id):
                try:
                    await factor.check(half.user_id, code)
                except errors.Forbidden:
                    await self._failed(half.user_id, factor.name, address)
                    raise
                methods = (*half.methods, factor.name)
                return await self.browsers.signed_in(browser, pending, half.user_id, methods, address)
        # Taken away meanwhile, on another device of his.
        return await self.browsers.signed_in(browser, pending, half.user_id, half.methods, address)

    async def check(self, user: str, password: str, code: str, address: str) -> str:
        """Both factors at once, without signing in: whose account it is. Raises Forbidden, LimitExceeded, UserDeactivated."""
        if not user or len(user) > MAX_ADDRESS_CHARACTERS or "\0" in user:
            raise errors.Forbidden
        try:
            user_id = (await self.credentials.check_password(_identifier(user), password, address)).user_id
            for factor in self.second_factors:
                if await factor.is_required(user_id):
                    await factor.check(user_id, code)
        except errors.Forbidden:
            await self._failed(await self.credentials.known_as(_identifier(user)), "password", address)
            raise
        return user_id

    async def _failed(self, user_id: str, method: str, address: str) -> None:
        await self.audit.record_as(
            self.browsers.database, "browser", SIGN_IN_FAILED, user_id, {"method": method}, address=address
        )


def _identifier(user: str) -> dict[str, str]:
    if "@" in user[1:]:
        return {"type": "m.id.thirdparty", "medium": "email", "address": user}
    return {"type": "m.id.user", "user": user}
