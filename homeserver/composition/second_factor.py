"""Codes of authenticator apps beside passwords: where people set them up. The service itself is part of identity.py."""

from __future__ import annotations

from homeserver.composition.accounts import AccountServices
from homeserver.composition.browser_sessions import BrowserServices
from homeserver.http.admin.second_factor import SecondFactorAdminEndpoints
from homeserver.http.client.second_factor import SecondFactorEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.web.second_factor import KIND, SecondFactorPages


def build_second_factor(accounts: AccountServices, web: BrowserServices) -> list[Endpoint]:
    """The sign-in page asks for codes; nobody gets past it who has to have a second factor and has none."""
    factor = accounts.identity.second_factor
    pages = SecondFactorPages(web.browsers, factor, web.cookies)
    web.password.second_factors.append(factor)
    web.browsers.continuations[KIND] = pages.continue_
    web.browsers.gates.append(pages.gate)
    return list(
        endpoints_of(
            pages, SecondFactorEndpoints(factor, accounts.ui_auth, web.browsers), SecondFactorAdminEndpoints(factor)
        )
    )
