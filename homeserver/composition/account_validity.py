"""Accounts that end, where the settings say so."""

from __future__ import annotations

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.identity import HOUR_MS, Identity
from homeserver.http.client.account_validity import AccountValidityEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.mail.letters import Letters
from homeserver.services.standing.validity import AccountValidity
from homeserver.storage.account_validity import AccountValidityRows


def build_account_validity(
    base: Foundation, settings: Settings, public_baseurl: str, identity: Identity, letters: Letters | None
) -> list[Endpoint]:
    """Nothing where accounts do not end."""
    period_ms = settings.accounts.validity.period_ms
    if period_ms is None:
        return []
    validity = AccountValidity(
        database=base.database,
        rows=AccountValidityRows(),
        authenticator=identity.authenticator,
        audit=base.audit,
        clock=base.clock,
        letters=letters,
        public_baseurl=public_baseurl,
        period_ms=period_ms,
        notice_ms=settings.accounts.validity.notice_ms,
    )
    base.life.on_start(validity.begin)
    base.life.every(HOUR_MS, validity.send_due, "tell-whose-accounts-end")
    return list(endpoints_of(AccountValidityEndpoints(validity)))
