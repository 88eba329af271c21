"""Accounts, sessions, devices, profiles, filters: who somebody is, and on which device."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import RegistrationSettings, Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.life import Step
from homeserver.http.admin.registration import SharedSecretEndpoints
from homeserver.http.client.account import AccountEndpoints
from homeserver.http.client.devices import DeviceEndpoints
from homeserver.http.client.filter import FilterEndpoints
from homeserver.http.client.login import LoginEndpoints
from homeserver.http.client.profile import ProfileEndpoints
from homeserver.http.client.registration import RegistrationEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.setup import SetupEndpoints
from homeserver.services.accounts.account import Accounts
from homeserver.services.accounts.credentials import Credentials
from homeserver.services.accounts.login import IsCrossSigningKey, Login
from homeserver.services.accounts.login_tokens import LoginTokens
from homeserver.services.accounts.passwords import PasswordHasher, PasswordPolicy
from homeserver.services.devices import Devices
from homeserver.services.filters.filters import Filters
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.rate_limits import BucketRateLimiter, NoRateLimiter
from homeserver.services.registration.captcha import CaptchaVerifier
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.registration.registration import Registration, RegistrationRules
from homeserver.services.registration.setup_link import SetupLinks
from homeserver.services.registration.shared_secret import SharedSecretRegistration
from homeserver.services.registration.usernames import Usernames
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.last_seen import FLUSH_INTERVAL_MS, LastSeen
from homeserver.services.sessions.sessions import SessionLifetimes, Sessions
from homeserver.services.ui_auth.stages import (
    DUMMY,
    PASSWORD,
    RECAPTCHA,
    REGISTRATION_TOKEN,
    DummyStage,
    PasswordStage,
    RecaptchaStage,
    RegistrationTokenStage,
)
from homeserver.services.ui_auth.ui_auth import Stage, UiAuth
from homeserver.storage.cross_signing import CrossSigningKeys
from homeserver.storage.devices import DeviceRows
from homeserver.storage.filters import FilterRows
from homeserver.storage.login_tokens import LoginTokenRows
from homeserver.storage.profiles import ProfileRows
from homeserver.storage.registration_tokens import RegistrationTokens, SetupLinkRows
from homeserver.storage.sessions import SessionTokens
from homeserver.storage.ui_auth_sessions import UiAuthSessionRows
from homeserver.storage.users import Users

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class AccountServices:
    """What other groups need of accounts."""

    authenticator: Authenticator
    devices: Devices
    new_accounts: NewAccounts
    setup_links: SetupLinks
    accounts: Accounts
    profiles: Profiles
    filters: Filters
    ui_auth: UiAuth
    endpoints: list[Endpoint] = field(default_factory=list)


def build_accounts(base: Foundation, settings: Settings, public_baseurl: str) -> AccountServices:
    """Hooks (`devices.hooks`, `accounts.on_deactivated`) are filled by the groups that have to know."""
    database, clock, users, tokens = base.database, base.clock, Users(), SessionTokens()
    last_seen = LastSeen(database, DeviceRows(), clock)
    authenticator = Authenticator(database, tokens, last_seen, clock)
    devices = Devices(database, DeviceRows(), authenticator, last_seen)
    lifetimes = SessionLifetimes(
        settings.sessions.access_token_lifetime_ms, settings.sessions.refresh_token_lifetime_ms
    )
    sessions = Sessions(database, users, tokens, authenticator, clock, lifetimes)

    hasher = PasswordHasher(settings.passwords.hash_cost)
    policy = PasswordPolicy(settings.passwords.minimum_length)
    limiter = BucketRateLimiter(clock) if settings.rate_limits.enabled else NoRateLimiter()
    credentials = Credentials(database, users, hasher, limiter, base.server_name)
    registration_tokens = RegistrationTokens()
    token_stage = RegistrationTokenStage(database, registration_tokens, clock)
    stages: dict[str, Stage] = {
        DUMMY: DummyStage(),
        PASSWORD: PasswordStage(credentials),
        REGISTRATION_TOKEN: token_stage,
    }
    captcha, captcha_params = settings.registration.recaptcha, {}
    if captcha.public_key and captcha.private_key:
        verifier = CaptchaVerifier(captcha.siteverify_url, captcha.private_key, settings.outgoing_http.verify_tls)
        stages[RECAPTCHA] = RecaptchaStage(verifier.verify)
        captcha_params = {RECAPTCHA: {"public_key": captcha.public_key}}
    ui_auth = UiAuth(database, UiAuthSessionRows(), stages, clock, captcha_params)
    login_tokens = LoginTokens(database, LoginTokenRows(), clock)
    login = Login(credentials, sessions, login_tokens, _cross_signing_lookup(base))

    notices = settings.server_notices.localpart
    usernames = Usernames(base.server_name, frozenset([notices] if notices else []))
    new_accounts = NewAccounts(database, users, hasher, policy, usernames, clock)
    rules = _registration_rules(settings.registration)
    registration = Registration(
        database, rules, new_accounts, sessions, authenticator, ui_auth, registration_tokens, clock
    )

    shared_secret = SharedSecretRegistration(settings.registration.shared_secret, new_accounts, sessions, clock)
    setup_links = SetupLinks(database, SetupLinkRows(), new_accounts, clock, public_baseurl)

    accounts = Accounts(database, users, devices, hasher, policy, clock)
    profiles = Profiles(database, ProfileRows())
    filters = Filters(database, FilterRows())

    base.life.every(FLUSH_INTERVAL_MS, last_seen.flush, "flush-last-seen")
    base.life.every(HOUR_MS, sessions.tidy, "forget-expired-sessions")
    base.life.every(HOUR_MS, ui_auth.tidy, "forget-expired-authentications")
    base.life.every(HOUR_MS, login_tokens.tidy, "forget-expired-login-tokens")
    base.life.on_stop(last_seen.flush)
    base.life.on_stop(_closing(hasher))
    base.life.reports_memory("authenticator", authenticator.memory_usage)
    base.life.reports_memory("last_seen", last_seen.memory_usage)
    base.life.reports_memory("filters", filters.memory_usage)
    endpoints = endpoints_of(
        RegistrationEndpoints(registration, token_stage),
        SharedSecretEndpoints(shared_secret),
        SetupEndpoints(setup_links),
        LoginEndpoints(login, login_tokens, sessions, devices, ui_auth),
        AccountEndpoints(accounts, ui_auth),
        DeviceEndpoints(devices, ui_auth),
        ProfileEndpoints(profiles),
        FilterEndpoints(filters),
    )
    return AccountServices(
        authenticator, devices, new_accounts, setup_links, accounts, profiles, filters, ui_auth, list(endpoints)
    )


def _registration_rules(settings: RegistrationSettings) -> RegistrationRules:
    return RegistrationRules(
        enabled=settings.enabled,
        guests=settings.guests,
        token_required=settings.require_verification,
        captcha_required=settings.recaptcha.in_flow,
        captcha_possible=bool(settings.recaptcha.public_key and settings.recaptcha.private_key),
    )


def _cross_signing_lookup(base: Foundation) -> IsCrossSigningKey:
    keys = CrossSigningKeys()

    async def is_cross_signing_key(user_id: str, device_id: str) -> bool:
        return any(key.public_key == device_id for key in await keys.of_users(base.database, [user_id]))

    return is_cross_signing_key


def _closing(hasher: PasswordHasher) -> Step:
    async def close() -> None:
        hasher.close()

    return close
