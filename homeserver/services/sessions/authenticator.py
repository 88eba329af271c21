"""Whose request is this? From memory where the token was used before, else with one statement."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from homeserver.protocol import errors
from homeserver.services.rate_limits import AnyRateLimiter, network_of
from homeserver.services.requester import Requester
from homeserver.services.sessions.last_seen import LastSeen
from homeserver.services.sessions.tokens import BORROWED_PREFIX, MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.borrowed_tokens import BorrowedToken, BorrowedTokenRows
from homeserver.storage.database_errors import OUTCOME_UNKNOWN
from homeserver.storage.sessions import SessionTokens, StoredAccessToken

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries


class Roles(Protocol):
    """Tokens of application services: services/appservices/masquerades.py."""

    def holder(self, token_hash: bytes) -> Appservice | None: ...

    async def requester(self, appservice: Appservice, user_id: str | None, device_id: str | None) -> Requester: ...

    def forget_user(self, user_id: str) -> None: ...


class Standing(Protocol):
    """Who is locked or suspended: services/standing/standings.py."""

    def marked(self, requester: Requester) -> Requester: ...


@dataclass(frozen=True, slots=True)
class _Known:
    requester: Requester
    expires_ms: int | None
    account_ends_ms: int | None


class Authenticator:
    """Access tokens to requesters, with a bounded memory of the tokens in use.

    The memory is true because everything that ends a token goes through `forget`.
    """

    __slots__ = (
        "_accounts_end",
        "_borrowed",
        "_capacity",
        "_clock",
        "_forgotten",
        "_known",
        "_last_seen",
        "_limiter",
        "_queries",
        "_roles",
        "_standing",
        "_tokens",
    )

    def __init__(
        self,
        queries: Queries,
        tokens: SessionTokens,
        last_seen: LastSeen,
        clock: Clock,
        limiter: AnyRateLimiter,
        standing: Standing,
        accounts_end: bool = False,
        capacity: int = 20_000,
        roles: Roles | None = None,
    ) -> None:
        self._queries = queries
        self._tokens = tokens
        self._last_seen = last_seen
        self._clock = clock
        self._limiter = limiter
        self._standing = standing
        self._accounts_end = accounts_end
        self._borrowed = BorrowedTokenRows()
        self._roles = roles
        self._capacity = capacity
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        # Counts revocations: a token that was read before one of them is not remembered, for it may be the one revoked.
        self._forgotten = 0

    async def authenticate(
        self,
        token: str,
        *,
        remote_address: str = "",
        user_agent: str = "",
        user_id: str | None = None,
        device_id: str | None = None,
    ) -> Requester:
        """Who holds this token, marked with his standing.

        Raises UnknownToken, with `soft_logout` where it has merely expired; LimitExceeded where too many tokens that nobody
        has came from this address, for tokens that are not in memory. Of application services what
        `Masquerades.requester` raises.

        `user_id` and `device_id` are for tokens of application services; with a user's own token they mean nothing.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise errors.UnknownToken
        token_hash = hash_token(token)
        known = self._known.get(token_hash)
        if known is None:
            appservice = None if self._roles is None else self._roles.holder(token_hash)
            if self._roles is not None and appservice is not None:
                return await self._speak_for(self._roles, appservice, user_id, device_id, remote_address, user_agent)
            load = self._load_borrowed if token.startswith(BORROWED_PREFIX) else self._load
            known = await load(token_hash, network_of(remote_address))
        else:
            self._known.move_to_end(token_hash)
        if known.expires_ms is not None and known.expires_ms <= self._clock.now_ms():
            # "Soft logout": the client keeps its keys and comes back with a refresh token or a password.
            raise errors.UnknownToken("The access token has expired", soft_logout=True)
        if known.requester.device_nid:
            self._last_seen.note(known.requester.device_nid, remote_address, user_agent)
        requester = self._standing.marked(self._asking_from(token_hash, known, remote_address))
        if known.account_ends_ms is not None and known.account_ends_ms <= self._clock.now_ms():
            return replace(requester, is_expired=True)
        return requester

    def _asking_from(self, token_hash: bytes, known: _Known, remote_address: str) -> Requester:
        """Where he asks from is remembered with the token: it seldom changes."""
        requester = known.requester.at(remote_address)
        if requester is not known.requester and self._known.get(token_hash) is known:
            self._known[token_hash] = replace(known, requester=requester)
        return requester

    async def _speak_for(
        self,
        roles: Roles,
        appservice: Appservice,
        user_id: str | None,
        device_id: str | None,
        remote_address: str,
        user_agent: str,
    ) -> Requester:
        requester = await roles.requester(appservice, user_id, device_id)
        if requester.device_nid:
            self._last_seen.note(requester.device_nid, remote_address, user_agent)
        return self._standing.marked(requester.at(remote_address))

    async def _load(self, token_hash: bytes, network: str) -> _Known:
        self._limiter.check_left("unknown_token", network)
        forgotten = self._forgotten
        stored = await self._tokens.by_access_token(self._queries, token_hash)
        if stored is None:
            self._limiter.count("unknown_token", network)
            raise errors.UnknownToken
        if stored.predecessor_id is not None and not self._has_expired(stored):
            await self._retire_predecessor(stored)
            forgotten += 1
        known = _Known(_requester(stored), stored.expires_ms, stored.valid_until_ms if self._accounts_end else None)
        if forgotten == self._forgotten:
            self._remember(token_hash, known)
        return known

    async def _load_borrowed(self, token_hash: bytes, network: str) -> _Known:
        self._limiter.check_left("unknown_token", network)
        forgotten = self._forgotten
        borrowed = await self._borrowed.get(self._queries, token_hash)
        if borrowed is None:
            self._limiter.count("unknown_token", network)
            raise errors.UnknownToken
        account_ends_ms = borrowed.valid_until_ms if self._accounts_end else None
        known = _Known(_impersonation(borrowed), borrowed.expires_ms, account_ends_ms)
        if forgotten == self._forgotten:
            self._remember(token_hash, known)
        return known

    def _has_expired(self, stored: StoredAccessToken) -> bool:
        return stored.expires_ms is not None and stored.expires_ms <= self._clock.now_ms()

    async def _retire_predecessor(self, stored: StoredAccessToken) -> None:
        """ "The old refresh token remains valid until the new access token or refresh token is used." """
        assert stored.predecessor_id is not None
        assert stored.refresh_token_id is not None
        with self.revoking(stored.user_id):
            self.forget(await self._tokens.retire(self._queries, stored.predecessor_id, stored.refresh_token_id))

    def _remember(self, token_hash: bytes, known: _Known) -> None:
        self._known[token_hash] = known
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def forget(self, token_hashes: Iterable[bytes]) -> None:
        """These tokens have been revoked. Called after the commit, always, also with an empty list."""
        self._forgotten += 1
        for token_hash in token_hashes:
            self._known.pop(token_hash, None)

    @contextmanager
    def revoking(self, user_id: str) -> Iterator[None]:
        """Around what revokes tokens of a user: where nobody knows whether it took place, none of his stays in memory."""
        try:
            yield
        except OUTCOME_UNKNOWN:
            self.forget_user(user_id)
            raise

    def forget_user(self, user_id: str) -> None:
        """Something about this user changed that requesters carry (guest, administrator), or when his account ends."""
        if self._roles is not None:
            self._roles.forget_user(user_id)
        self.forget(
            [
                token_hash
                for token_hash, known in self._known.items()
                if user_id in (known.requester.user_id, known.requester.impersonator)
            ]
        )

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"tokens": len(self._known)}


def _requester(stored: StoredAccessToken) -> Requester:
    return Requester(
        user_id=stored.user_id,
        device_id=stored.device_id,
        device_nid=stored.device_nid,
        token_id=stored.token_id,
        is_guest=stored.is_guest,
        is_admin=stored.is_admin,
        appservice_id=None,
    )


def _impersonation(borrowed: BorrowedToken) -> Requester:
    """The user without a device of his, and without his role."""
    return Requester(
        user_id=borrowed.user_id,
        device_id=None,
        device_nid=0,
        token_id=0,
        is_guest=borrowed.is_guest,
        is_admin=False,
        impersonator=borrowed.admin_id,
    )
