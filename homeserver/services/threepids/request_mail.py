"""POST .../email/requestToken: send a mail with a link to whoever owns the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import EMAIL, canonical_email, is_opaque
from homeserver.services.mail.letters import Letters
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.threepids.domains import DomainRules
from homeserver.services.threepids.proofs import ADD, REGISTER, RESET, Asked, Proofs
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

LINK_PATH: Final = "/_matrix/client/unstable/email/submit_token"
KINDS: Final[Mapping[str, str]] = {
    ADD: "validate_address",
    REGISTER: "validate_registration",
    RESET: "password_reset",
}
MAX_NEXT_LINK_CHARACTERS: Final = 2_000
MAX_SEND_ATTEMPT: Final = 2**53 - 1
MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class MailRules:
    """From the settings. `domains`: addresses that may be added; `registering`: those that may be registered with, too;
    `hide_accounts`: do not say whether an address is known here; `next_links`: hosts at which people may be sent on.
    """

    public_baseurl: str
    lifetime_ms: int
    domains: DomainRules = field(default_factory=DomainRules)
    registering: DomainRules = field(default_factory=DomainRules)
    hide_accounts: bool = False
    next_links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailRequest:
    """As the client sent it."""

    client_secret: str
    email: str
    send_attempt: int
    next_link: str | None = None


@dataclass(frozen=True, slots=True)
class RequestMail:
    """One verb. `letters` None: this server sends no mail."""

    queries: Queries
    users: Users
    proofs: Proofs
    letters: Letters | None
    limiter: AnyRateLimiter
    rules: MailRules

    async def __call__(self, purpose: str, request: MailRequest) -> str:
        """Send the mail and return the id of the session.

        Raises ThreepidMediumNotSupported, InvalidParam, ThreepidDenied, LimitExceeded where this address has got too much
        mail, Unavailable; ThreepidInUse and ThreepidNotFound where the server does not hide who has an account.
        """
        if self.letters is None:
            raise errors.ThreepidMediumNotSupported("This server sends no mail")
        asked = self._checked(purpose, request)
        self.letters.check()
        self.limiter.count("mail_to_address", asked.address)
        owner = await self.users.owner_of_threepid(self.queries, EMAIL, asked.address)
        fits = (owner is not None) == (purpose == RESET)
        if not fits and not self.rules.hide_accounts:
            raise _misfit(purpose)
        begun = await self.proofs.begin(asked, provable=fits)
        if begun.token is not None and fits:
            self.letters.send(KINDS[purpose], asked.address, self._values(begun.session_id, begun.token))
        elif begun.token is not None and purpose != RESET:
            self.letters.send("address_in_use", asked.address, {})
        return begun.session_id

    def _checked(self, purpose: str, request: MailRequest) -> Asked:
        if not is_opaque(request.client_secret):
            raise errors.InvalidParam("'client_secret' must be 1 to 255 of the characters 0-9 a-z A-Z . = _ -")
        if not 0 <= request.send_attempt <= MAX_SEND_ATTEMPT:
            raise errors.InvalidParam("'send_attempt' is out of range")
        address = canonical_email(request.email)
        if purpose != RESET and not self.is_allowed(address, purpose):
            raise errors.ThreepidDenied("Addresses of this domain are not allowed here")
        next_link = self._next_link(request.next_link)
        return Asked(purpose, EMAIL, address, request.client_secret, request.send_attempt, next_link)

    def is_allowed(self, address: str, purpose: str) -> bool:
        """Whether somebody may have this address here, and whether he may register with it."""
        return self.rules.domains.allow(address) and (purpose != REGISTER or self.rules.registering.allow(address))

    def _next_link(self, link: str | None) -> str | None:
        """Where people may be sent afterwards; None for any other place, which they are merely not sent to."""
        if not link:
            return None
        if len(link) > MAX_NEXT_LINK_CHARACTERS or not link.isprintable():
            raise errors.InvalidParam("'next_link' is too long, or has characters that no link has")
        try:
            parts = urlsplit(link)
        except ValueError:
            raise errors.InvalidParam("'next_link' is not a URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.InvalidParam("'next_link' must be an http or https URL")
        return link if parts.hostname in self.rules.next_links and parts.username is None else None

    def _values(self, session_id: str, token: str) -> dict[str, str]:
        query = urlencode({"sid": session_id, "token": token})
        link = f"{self.rules.public_baseurl.rstrip('/')}{LINK_PATH}?{query}"
        return {"link": link, "lifetime": in_words(self.rules.lifetime_ms)}


def _misfit(purpose: str) -> errors.MatrixError:
    if purpose == RESET:
        return errors.ThreepidNotFound("No account here has this address")
    return errors.ThreepidInUse("An account here has this address already")


def in_words(duration_ms: int) -> str:
    """A duration as people say it, rounded down to hours where it has some."""
    minutes = max(1, duration_ms // MINUTE_MS)
    number, unit = (minutes // 60, "hour") if minutes >= 60 else (minutes, "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
