"""Sign in on a device, refresh, and what a session is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.devices import DeviceHooks
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.last_seen import MAX_USER_AGENT_CHARACTERS
from homeserver.services.sessions.tokens import (
    MAX_TOKEN_CHARACTERS,
    hash_token,
    new_access_token,
    new_device_id,
    new_refresh_token,
)
from homeserver.services.text_limits import check_device_id, check_device_name
from homeserver.storage.sessions import NewTokens, Seen, SessionTokens, StoredRefreshToken
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

InSameTransaction = Callable[["Queries", "OpenedSession"], Awaitable[None]]

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
# How long an expired token is kept, so that its client is told to come back rather than to throw its keys away.
EXPIRED_TOKENS_KEPT_MS = 90 * DAY_MS


@dataclass(frozen=True, slots=True)
class SessionLifetimes:
    """How long tokens of clients that can refresh are valid."""

    access_ms: int = 15 * MINUTE_MS
    refresh_ms: int = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class SessionWish:
    """What a client asks of its new session, and from where."""

    device_id: str | None = None
    """An existing device is signed in anew; None makes one."""
    device_name: str | None = None
    """For a new device only."""
    can_refresh: bool = False
    ip: str = ""
    user_agent: str = ""

    def __post_init__(self) -> None:
        if self.device_id is not None:
            check_device_id(self.device_id)
        check_device_name(self.device_name)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session. This is the only moment at which its tokens are known."""

    user_id: str
    device_id: str
    access_token: str
    refresh_token: str | None
    expires_in_ms: int | None
    revoked: tuple[bytes, ...] = ()
    """Hashes of the tokens this session replaced."""
    is_new_device: bool = False


@dataclass(frozen=True, slots=True)
class RefreshedTokens:
    """The next generation of a session."""

    access_token: str
    refresh_token: str
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens, refreshes and tidies sessions. They end with their device: see services/devices.py."""

    database: Database
    users: Users
    tokens: SessionTokens
    authenticator: Authenticator
    clock: Clock
    hooks: DeviceHooks
    lifetimes: SessionLifetimes = SessionLifetimes()

    async def log_in(self, user_id: str, wish: SessionWish, *, then: Sequence[InSameTransaction] = ()) -> OpenedSession:
        """Sign in a user whose identity has been proved. Raises UserDeactivated, UserLocked.

        `then`: what belongs into the same transaction, such as the end of what proved it.
        """
        with self.authenticator.revoking(user_id):
            async with self.database.transaction() as tx:
                user = await self.users.lock(tx, user_id)
                if user is None or user.is_deactivated:
                    raise errors.UserDeactivated
                if user.is_locked:
                    raise errors.UserLocked
                opened = await self.open(tx, user_id, wish)
                for also in then:
                    await also(tx, opened)
        self.authenticator.forget(opened.revoked)
        if opened.is_new_device:
            for made in self.hooks.made:
                await made(user_id, opened.device_id)
        return opened

    async def open(self, tx: Queries, user_id: str, wish: SessionWish) -> OpenedSession:
        """The same inside of the caller's transaction, for an account it has made or locked."""
        access_token = new_access_token()
        refresh_token = new_refresh_token() if wish.can_refresh else None
        device_id = wish.device_id or new_device_id()
        seen = Seen(self.clock.now_ms(), wish.ip, wish.user_agent[:MAX_USER_AGENT_CHARACTERS])
        tokens = self._new_tokens(access_token, refresh_token)
        signed_in = await self.tokens.open(tx, user_id, device_id, wish.device_name, seen, tokens)
        expires_in_ms = self.lifetimes.access_ms if refresh_token else None
        return OpenedSession(
            user_id,
            device_id,
            access_token,
            refresh_token,
            expires_in_ms,
            tuple(signed_in.revoked),
            signed_in.is_new_device,
        )

    def _new_tokens(self, access_token: str, refresh_token: str | None) -> NewTokens:
        if refresh_token is None:
            return NewTokens(hash_token(access_token), None)
        now_ms = self.clock.now_ms()
        return NewTokens(
            access_hash=hash_token(access_token),
            access_expires_ms=now_ms + self.lifetimes.access_ms,
            refresh_hash=hash_token(refresh_token),
            refresh_expires_ms=now_ms + self.lifetimes.refresh_ms,
        )

    async def refresh(self, refresh_token: str, client_id: str | None = None) -> RefreshedTokens:
        """Issue the next generation; the one before stays valid until this one is first used.

        `client_id`: the OAuth client that asks; None where it is none.

        Raises UnknownToken, with `soft_logout` where the refresh token has merely expired; UserLocked.
        """
        if len(refresh_token) > MAX_TOKEN_CHARACTERS:
            raise errors.UnknownToken("The refresh token is not known")
        access_token, next_refresh_token = new_access_token(), new_refresh_token()
        revoked: list[bytes] = []
        with ExitStack() as revoking:
            async with self.database.transaction() as tx:
                used = await self._usable(tx, refresh_token, client_id)
                revoking.enter_context(self.authenticator.revoking(used.user_id))
                if used.predecessor_id is not None:
                    revoked += await self.tokens.retire(tx, used.predecessor_id, used.token_id)
                revoked += await self.tokens.rotate(tx, used, self._new_tokens(access_token, next_refresh_token))
        self.authenticator.forget(revoked)
        return RefreshedTokens(access_token, next_refresh_token, self.lifetimes.access_ms)

    async def _usable(self, tx: Queries, refresh_token: str, client_id: str | None) -> StoredRefreshToken:
        used = await self.tokens.by_refresh_token(tx, hash_token(refresh_token))
        # What one client was given is of no use to another, nor where nobody would notice that it is used twice.
        if used is None or used.client_id != client_id:
            raise errors.UnknownToken("The refresh token is not known")
        if used.expires_ms <= self.clock.now_ms():
            raise errors.UnknownToken("The refresh token has expired", soft_logout=True)
        if used.is_locked:
            raise errors.UserLocked
        return used

    async def tidy(self) -> None:
        """Housekeeping: forget tokens that expired long ago."""
        await self.tokens.forget_expired(self.database, self.clock.now_ms() - EXPIRED_TOKENS_KEPT_MS)
