"""Addresses of accounts: proofs by mail, what they are for, and the pages behind their links."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.services.accounts.account import Accounts
from homeserver.services.mail.letters import Letters
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.threepids.addresses import Addresses
from homeserver.services.threepids.domains import rules
from homeserver.services.threepids.notices import AccountNotices
from homeserver.services.threepids.password_reset import ResetPassword
from homeserver.services.threepids.proofs import Proofs
from homeserver.services.threepids.request_mail import MailRules, RequestMail
from homeserver.services.threepids.stage import EmailStage
from homeserver.storage.threepid_sessions import ThreepidSessionRows
from homeserver.storage.threepids import ThreepidRows
from homeserver.storage.users import Users

HOUR_MS = 60 * 60_000


@dataclass(frozen=True, slots=True)
class ThreepidServices:
    """What accounts and registration need of addresses. `sends_mail`: whether a mail server is configured."""

    sends_mail: bool
    proofs: Proofs
    stage: EmailStage
    addresses: Addresses
    notices: AccountNotices
    request_mail: RequestMail

    def reset_password(self, accounts: Accounts) -> ResetPassword:
        """The way back to an account whose password is forgotten."""
        return ResetPassword(self.addresses.database, self.addresses.users, self.proofs, accounts)


def build_threepids(
    base: Foundation, settings: Settings, public_baseurl: str, limiter: AnyRateLimiter, letters: Letters | None
) -> ThreepidServices:
    """Nothing but clocks and rows; `letters` None: nobody can prove an address."""
    database, users, email = base.database, Users(), settings.email
    proofs = Proofs(database, ThreepidSessionRows(), base.clock, email.link_lifetime_ms)
    notices = AccountNotices(database, users, letters)
    addresses = Addresses(database, users, ThreepidRows(), proofs, notices, base.clock)
    mail_rules = MailRules(
        public_baseurl=public_baseurl,
        lifetime_ms=email.link_lifetime_ms,
        domains=rules(email.domains),
        registering=rules(settings.registration.email_domains, settings.registration.email_domains_denied),
        hide_accounts=email.hide_accounts,
        next_links=tuple(each.casefold() for each in email.next_link_domains),
    )
    request_mail = RequestMail(database, users, proofs, letters, limiter, mail_rules)
    stage = EmailStage(database, users, proofs)
    base.life.every(HOUR_MS, proofs.tidy, "forget-expired-proofs-of-addresses")
    return ThreepidServices(letters is not None, proofs, stage, addresses, notices, request_mail)
