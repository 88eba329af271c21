"""Who is signed in in which browser, and how it goes on afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import MAX_PENDING_ID_CHARACTERS, Browser, Half, Pending
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.browsers import BrowserRows, StoredPending
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
# Nobody need be signed in as long as that with whatever he began.
STRANGER_MS: Final = 60 * MINUTE_MS
SIGNED_IN_MS: Final = 14 * DAY_MS
PENDING_MS: Final = 60 * MINUTE_MS
# How old a sign-in may be for what a browser left open must not be enough for.
FRESH_MS: Final = 10 * MINUTE_MS
HALF_MS: Final = 5 * MINUTE_MS
MAX_PENDINGS: Final = 20
SIGN_IN_PATH: Final = "/_voicechat/sign-in"

Continue = Callable[[Browser, Pending], Awaitable[str]]
DeviceGranted = Callable[["Queries", Browser, str], Awaitable[None]]
Gate = Callable[[Browser, Pending], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class BrowserSessions:
    """See the folder's README for how a way to sign in, and something to be signed in for, use it."""

    database: Database
    rows: BrowserRows
    users: Users
    clock: Clock
    audit: AuditLog
    continuations: dict[str, Continue] = field(default_factory=dict)
    """By kind of pending: where the browser goes once somebody is signed in."""
    gates: list[Gate] = field(default_factory=list)
    """Asked before that: where the browser has to go first, or None."""
    on_device_granted: list[DeviceGranted] = field(default_factory=list)
    """Called in the transaction in which somebody agrees, in his browser, that a client signs in as this device of his."""

    async def find(self, token: str | None) -> Browser | None:
        """The browser with this cookie; None where it is not known (any more)."""
        if not token or len(token) > MAX_TOKEN_CHARACTERS:
            return None
        stored = await self.rows.find(self.database, hash_token(token), self.clock.now_ms())
        if stored is None:
            return None
        return Browser(stored.browser_id, token, stored.user_id, tuple(stored.methods), stored.signed_in_ms)

    async def meet(self, token: str | None) -> Browser:
        """The same, or a browser that has not been here: its token is another one then, to be set as its cookie."""
        browser = await self.find(token)
        if browser is not None:
            return browser
        token = _new_token()
        expires_ms = self.clock.now_ms() + STRANGER_MS
        return Browser(await self.rows.add(self.database, hash_token(token), expires_ms), token)

    async def begin(self, browser: Browser, kind: str, memory: Mapping[str, Any], *, fresh: bool = False) -> Pending:
        """Remember what the browser came for. `fresh`: who signed in a while ago has to do so again.

        `memory`: small, JSON. It is held back from the browser, but no secret is to be in it.
        """
        now_ms = self.clock.now_ms()
        pending_id = secrets.token_urlsafe(18)
        pending = Pending(pending_id, browser.browser_id, kind, memory, now_ms - FRESH_MS if fresh else 0)
        stored = StoredPending(pending_id, browser.browser_id, kind, memory, pending.fresh_since_ms, None)
        await self.rows.add_pending(self.database, stored, now_ms + PENDING_MS, MAX_PENDINGS - 1)
        return pending

    async def pending(self, browser: Browser | None, pending_id: str, kind: str | None = None) -> Pending:
        """What this browser came for. Raises NotFound where it is another one's, of another kind, or too old."""
        stored = None
        if browser is not None and len(pending_id) <= MAX_PENDING_ID_CHARACTERS and "\0" not in pending_id:
            stored = await self.rows.pending(self.database, pending_id, browser.browser_id, self.clock.now_ms())
        if stored is None or kind not in (None, stored.kind):
            raise errors.NotFound(
                "This is not asked for (any more), or not in this browser. Begin again where you came from."
            )
        return _pending(stored, self.clock.now_ms())

    async def prove_half(self, pending: Pending, user_id: str, methods: Sequence[str]) -> Pending:
        """A first factor has been proved; `signed_in` is called after the second, within `HALF_MS`."""
        half = Half(user_id, tuple(methods), self.clock.now_ms() + HALF_MS)
        stored = {"user_id": user_id, "methods": list(methods), "until_ms": half.until_ms}
        await self.rows.set_half(self.database, pending.pending_id, stored)
        return replace(pending, half=half)

    async def signed_in(
        self, browser: Browser, pending: Pending, user_id: str, methods: Sequence[str], address: str
    ) -> tuple[Browser, Pending]:
        """The user has proved who he is. The browser has another cookie afterwards: set it.

        Raises UserDeactivated, UserLocked; NotFound where the browser was signed out meanwhile.
        """
        token, now_ms = _new_token(), self.clock.now_ms()
        async with self.database.transaction() as tx:
            user = await self.users.get(tx, user_id)
            if user is None or user.is_deactivated:
                raise errors.UserDeactivated
            if user.is_locked:
                raise errors.UserLocked
            expires_ms = now_ms + SIGNED_IN_MS
            known = await self.rows.sign_in(
                tx, browser.browser_id, hash_token(token), user_id, methods, now_ms, expires_ms
            )
            if not known:
                raise errors.NotFound("You have been signed out in this browser. Begin again where you came from.")
            await self.rows.set_half(tx, pending.pending_id, None)
            details = {"methods": list(methods), "for": pending.kind}
            await self.audit.record_as(tx, user_id, "browser.sign_in", user_id, details, address=address)
        return Browser(browser.browser_id, token, user_id, tuple(methods), now_ms), replace(pending, half=None)

    async def continue_(self, browser: Browser, pending: Pending) -> str:
        """Where the browser goes now: on with what it came for, or to the sign-in page."""
        if not pending.is_satisfied_by(browser):
            return f"{SIGN_IN_PATH}?pending={pending.pending_id}"
        for gate in self.gates:
            if (detour := await gate(browser, pending)) is not None:
                return detour
        return await self.continuations[pending.kind](browser, pending)

    async def finish(self, q: Queries, pending: Pending) -> None:
        """What the browser came for is done. Raises NotFound where it was done before."""
        if not await self.rows.finish(q, pending.pending_id):
            raise errors.NotFound("This has been done already. Begin again where you came from.")

    async def device_granted(self, tx: Queries, browser: Browser, device_id: str) -> None:
        """Whoever is signed in has agreed that a client may be: see `on_device_granted`."""
        for hook in self.on_device_granted:
            await hook(tx, browser, device_id)

    async def sign_out(self, browser: Browser) -> None:
        """The browser is a stranger again, and what it came for is forgotten."""
        await self.rows.end(self.database, browser.browser_id)

    async def sign_out_user(self, user_id: str) -> None:
        """In all his browsers: hook of a changed password."""
        await self.rows.end_of_user(self.database, user_id)

    async def sign_out_elsewhere(self, browser: Browser) -> None:
        """In all other browsers of who is signed in in this one."""
        await self.rows.end_others(self.database, browser.require_user(), browser.browser_id)

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Hook of services/accounts."""
        await self.sign_out_user(user_id)

    async def tidy(self) -> None:
        """Housekeeping."""
        await self.rows.forget_expired(self.database, self.clock.now_ms())


def _new_token() -> str:
    return "vcbr_" + secrets.token_urlsafe(32)


def _pending(stored: StoredPending, now_ms: int) -> Pending:
    half = None
    if stored.half is not None and stored.half["until_ms"] > now_ms:
        half = Half(stored.half["user_id"], tuple(stored.half["methods"]), stored.half["until_ms"])
    return Pending(stored.pending_id, stored.browser_id, stored.kind, stored.memory, stored.fresh_since_ms, half)
