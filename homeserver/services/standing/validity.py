"""Accounts that end after a while, unless they are renewed: by a link in a mail, or by an administrator."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.mail.letters import Letters
from homeserver.services.requester import Requester
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.services.text_limits import is_storable
from homeserver.storage.account_validity import AccountValidityRows, EndingAccount, RenewalLink

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

RENEW_PATH: Final = "/_matrix/client/unstable/account_validity/renew"
# Of the period: as much earlier some accounts end that were there before there were ends.
SPREAD: Final = 10
MAX_MAILS_AT_ONCE: Final = 100
MAX_USER_ID_CHARACTERS: Final = 255
# 2^53: what JSON can say.
MAX_TIME_MS: Final = 2**53

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountValidity:
    """Accounts last for `period_ms`; `notice_ms` before their end people are written to."""

    database: Database
    rows: AccountValidityRows
    authenticator: Authenticator
    audit: AuditLog
    clock: Clock
    letters: Letters | None
    public_baseurl: str
    period_ms: int
    notice_ms: int

    async def begin(self) -> None:
        """At the start: accounts from before there were ends get one."""
        await self.rows.begin(self.database, self.clock.now_ms() + self.period_ms, self.period_ms // SPREAD)

    async def send_due(self) -> None:
        """Housekeeping: a link to everybody whose account ends soon, once. What is left comes with the next call."""
        now_ms = self.clock.now_ms()
        due = await self.rows.due(self.database, now_ms, now_ms + self.notice_ms, MAX_MAILS_AT_ONCE)
        if due and self.letters is not None:
            await self._send(due, self.letters)

    async def send_again(self, requester: Requester) -> None:
        """A link, because its user asks for one. Raises Unknown (nothing ends, no mail), ThreepidNotFound (no address)."""
        ending = await self.rows.of_user(self.database, requester.user_id)
        if ending is None:
            raise errors.Unknown("This account does not end")
        if self.letters is None:
            raise errors.Unknown("This server sends no mail: an administrator can renew the account")
        if not ending.addresses:
            raise errors.ThreepidNotFound("The account has no e-mail address: an administrator can renew it")
        await self._send([ending], self.letters)

    async def _send(self, ending: Sequence[EndingAccount], letters: Letters) -> None:
        tokens = ["vcrn_" + secrets.token_urlsafe(32) for _ in ending]
        links = [
            RenewalLink(hash_token(token), each.user_id, each.valid_until_ms)
            for token, each in zip(tokens, ending, strict=True)
        ]
        await self.rows.add_links(self.database, links, self.clock.now_ms())
        for token, each in zip(tokens, ending, strict=True):
            for address in each.addresses or ():
                self._write(letters, address, each, token)

    def _write(self, letters: Letters, address: str, ending: EndingAccount, token: str) -> None:
        link = f"{self.public_baseurl.rstrip('/')}{RENEW_PATH}?{urlencode({'token': token})}"
        until = datetime.fromtimestamp(ending.valid_until_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        try:
            letters.send("account_renewal", address, {"link": link, "user_id": ending.user_id, "until": until})
        except errors.MatrixError as error:
            log.warning("%s could not be told that the account ends: %s", ending.user_id, error)

    async def check_link(self, token: str) -> str:
        """Whose account the link renews. Raises Forbidden."""
        return _known(
            await self.rows.owner_of_link(self.database, hash_token(token)) if _may_be_token(token) else None
        )  # fmt: skip

    async def use_link(self, token: str) -> str:
        """Renew the account, from now; returns whose it is. Raises Forbidden."""
        until_ms = self.clock.now_ms() + self.period_ms
        owner = None
        if _may_be_token(token):
            owner = await self.rows.use_link(self.database, hash_token(token), until_ms)
        user_id = _known(owner)
        self.authenticator.forget_user(user_id)
        return user_id

    async def set(self, requester: Requester, user_id: str, until_ms: int | None, *, mails: bool = True) -> int:
        """An administrator's word; None: a whole period from now. Returns the end. Raises Forbidden, NotFound, InvalidParam.

        `mails` False: nobody is written to about this end.
        """
        if not requester.is_admin:
            raise errors.Forbidden("Only an administrator of this server may do this")
        until_ms = self.clock.now_ms() + self.period_ms if until_ms is None else until_ms
        if not 0 <= until_ms < MAX_TIME_MS:
            raise errors.InvalidParam("'expiration_ts' is no time")
        async with self.database.transaction() as tx:
            known = is_storable(user_id, MAX_USER_ID_CHARACTERS)
            if not known or not await self.rows.set(tx, user_id, until_ms):
                raise errors.NotFound("There is no such user")
            if not mails:
                # A link that nobody has: none is made any more.
                await self.rows.add_links(
                    tx, [RenewalLink(secrets.token_bytes(32), user_id, until_ms)], self.clock.now_ms()
                )  # fmt: skip
            await self.audit.record(tx, requester, "user.renew", user_id, {"until_ms": until_ms})
        self.authenticator.forget_user(user_id)
        return until_ms


def _may_be_token(token: str) -> bool:
    return 0 < len(token) <= MAX_TOKEN_CHARACTERS


def _known(owner: str | None) -> str:
    if owner is None:
        raise errors.Forbidden("This link renews nothing (any more)")
    return owner
