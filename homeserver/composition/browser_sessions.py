"""People in browsers: who is signed in, and the page on which they sign in."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.web.cookies import Cookies
from homeserver.http.web.sign_in import SignInPages
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.browser_sessions.methods import SignInMethods
from homeserver.services.browser_sessions.password_sign_in import PasswordSignIn
from homeserver.storage.browsers import BrowserRows

HOUR_MS = 60 * 60_000


@dataclass(frozen=True, slots=True)
class BrowserServices:
    """`browsers.continuations`, `methods.providers` and `password.second_factors` are filled by other groups."""

    browsers: BrowserSessions
    password: PasswordSignIn
    methods: SignInMethods
    cookies: Cookies
    endpoints: list[Endpoint] = field(default_factory=list)


def build_browser_sessions(base: Foundation, accounts: AccountServices, public_baseurl: str) -> BrowserServices:
    """Whoever changes his password, or ends his account, is signed out in all browsers."""
    browsers = BrowserSessions(base.database, BrowserRows(), accounts.identity.users, base.clock, base.audit)
    password = PasswordSignIn(browsers, accounts.identity.credentials, base.audit)
    methods, cookies = SignInMethods(), Cookies(public_baseurl.startswith("https:"))
    accounts.accounts.on_password_changed.append(browsers.sign_out_user)
    accounts.accounts.on_deactivated.append(browsers.user_deactivated)
    base.life.every(HOUR_MS, browsers.tidy, "forget-expired-browsers")
    endpoints = endpoints_of(SignInPages(browsers, password, methods, cookies, base.server_name))
    return BrowserServices(browsers, password, methods, cookies, list(endpoints))
