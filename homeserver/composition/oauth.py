"""The OAuth 2.0 API, its pages, and the page of the account."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.browser_sessions import BrowserServices
from homeserver.composition.foundation import Foundation
from homeserver.http.client.oauth import AuthMetadataEndpoints, OAuthEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.web.account import VIEW, AccountEndpoints, AccountLink
from homeserver.http.web.authorize import CONSENT, AuthorizePages
from homeserver.http.web.detours import page_at
from homeserver.http.web.link_device import CONSENT as LINK_CONSENT
from homeserver.http.web.link_device import LinkDevicePages
from homeserver.http.web.register import RegisterPages
from homeserver.http.web.second_factor import PATH as SECOND_FACTOR
from homeserver.services.oauth import account_pages, authorizations, device_grants
from homeserver.services.oauth.account_pages import AccountPages
from homeserver.services.oauth.authorizations import Authorizations
from homeserver.services.oauth.clients import OAuthClients
from homeserver.services.oauth.cross_signing_resets import OAUTH, UNSTABLE, CrossSigningResets
from homeserver.services.oauth.device_grants import DeviceGrants
from homeserver.services.oauth.metadata import ACCOUNT, issuer_of, server_metadata
from homeserver.services.oauth.tokens import OAuthTokens
from homeserver.services.registration.in_browser import RegistrationInBrowser
from homeserver.storage.cross_signing_resets import CrossSigningResetRows
from homeserver.storage.oauth_clients import OAuthClientRows
from homeserver.storage.oauth_codes import OAuthCodeRows
from homeserver.storage.oauth_device_codes import OAuthDeviceCodeRows
from homeserver.storage.oauth_grants import OAuthGrantRows

HOUR_MS = 60 * 60_000


@dataclass(frozen=True, slots=True)
class OAuthServices:
    """`account_links`: further pages about the account, of other groups."""

    resets: CrossSigningResets
    account_links: list[AccountLink]
    endpoints: list[Endpoint] = field(default_factory=list)


def build_oauth(
    base: Foundation, accounts: AccountServices, web: BrowserServices, public_baseurl: str
) -> OAuthServices:
    """How a browser goes on is set here, and the stage `m.oauth`."""
    database, clock, audit, browsers = base.database, base.clock, base.audit, web.browsers
    codes, grants = OAuthCodeRows(), OAuthGrantRows()
    clients = OAuthClients(database, OAuthClientRows(), clock)
    issuer = issuer_of(public_baseurl)
    granting = Authorizations(database, codes, browsers, clock, audit, issuer)
    linking = DeviceGrants(database, OAuthDeviceCodeRows(), browsers, clock, audit)
    tokens = OAuthTokens(
        database, codes, grants, linking, accounts.login, accounts.identity.sessions, accounts.devices, clock, audit
    )
    resets = CrossSigningResets(database, CrossSigningResetRows(), grants, clock, audit)
    account = AccountPages(
        database, browsers, accounts.accounts, accounts.profiles, accounts.devices, grants, resets, audit
    )
    browsers.continuations[authorizations.KIND] = page_at(CONSENT)
    browsers.continuations[device_grants.KIND] = page_at(LINK_CONSENT)
    browsers.continuations[account_pages.KIND] = page_at(VIEW)
    _add_stage(accounts, resets, public_baseurl)
    base.life.every(HOUR_MS, clients.tidy, "forget-unused-oauth-clients")
    base.life.every(HOUR_MS, granting.tidy, "forget-expired-oauth-codes")
    base.life.every(HOUR_MS, linking.tidy, "forget-expired-device-codes")
    base.life.every(HOUR_MS, resets.tidy, "forget-expired-cross-signing-resets")
    links = [AccountLink("A second step when you sign in", SECOND_FACTOR)]
    registration = RegistrationInBrowser(accounts.registration, browsers)
    can_register = web.methods.can_register = bool(registration.stages)
    endpoints = endpoints_of(
        AuthMetadataEndpoints(server_metadata(public_baseurl, account_pages.ACTIONS, can_register=can_register)),
        OAuthEndpoints(clients, linking, tokens, public_baseurl),
        AuthorizePages(clients, granting, browsers, web.cookies, can_register),
        LinkDevicePages(linking, clients, browsers, web.cookies),
        AccountEndpoints(account, browsers, web.cookies, links),
        *([RegisterPages(registration, browsers, web.cookies, base.server_name)] if can_register else []),
    )
    return OAuthServices(resets, links, list(endpoints))


def _add_stage(accounts: AccountServices, resets: CrossSigningResets, public_baseurl: str) -> None:
    url = f"{public_baseurl.rstrip('/')}{ACCOUNT}?action={account_pages.CROSS_SIGNING_RESET}"
    for stage in (OAUTH, UNSTABLE):
        accounts.ui_auth.stages[stage] = resets
        accounts.ui_auth.params[stage] = {"url": url}
