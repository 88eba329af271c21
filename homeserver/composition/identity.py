"""Who somebody is: passwords, sessions, devices, and the proofs that user-interactive authentication asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from homeserver.composition.appservice_files import load_appservices
from homeserver.composition.foundation import Foundation
from homeserver.composition.life import Step
from homeserver.composition.policies import build_terms
from homeserver.composition.threepids import ThreepidServices
from homeserver.services.accounts.back_off import BackOff
from homeserver.services.accounts.credentials import Credentials
from homeserver.services.accounts.passwords import PasswordHasher, PasswordPolicy
from homeserver.services.appservices.masquerades import Masquerades
from homeserver.services.appservices.registry import Appservices
from homeserver.services.devices import Devices
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.registration.captcha import CaptchaVerifier
from homeserver.services.registration.terms import TERMS, Terms
from homeserver.services.second_factor.second_factor import STAGE as TOTP
from homeserver.services.second_factor.second_factor import SecondFactor
from homeserver.services.second_factor.stage import SecondFactorStage
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.last_seen import FLUSH_INTERVAL_MS, LastSeen
from homeserver.services.sessions.sessions import SessionLifetimes, Sessions
from homeserver.services.standing.standings import Standings
from homeserver.services.threepids.stage import EMAIL_IDENTITY, EmailStage
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
from homeserver.storage.devices import DeviceRows
from homeserver.storage.registration_tokens import RegistrationTokens
from homeserver.storage.second_factors import SecondFactorRows
from homeserver.storage.sessions import SessionTokens
from homeserver.storage.standings import StandingRows
from homeserver.storage.ui_auth_sessions import UiAuthSessionRows
from homeserver.storage.users import Users

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """What accounts and registration are built on."""

    users: Users
    hasher: PasswordHasher
    policy: PasswordPolicy
    credentials: Credentials
    authenticator: Authenticator
    devices: Devices
    sessions: Sessions
    token_stage: RegistrationTokenStage
    ui_auth: UiAuth
    appservices: Appservices
    masquerades: Masquerades
    standings: Standings
    terms: Terms
    second_factor: SecondFactor


def build_identity(
    base: Foundation, settings: Settings, limiter: AnyRateLimiter, threepids: ThreepidServices
) -> Identity:
    """Sessions first, then what they are opened with."""
    database, clock, users, tokens = base.database, base.clock, Users(), SessionTokens()
    last_seen = LastSeen(database, DeviceRows(), clock)
    appservices = load_appservices(settings.appservice_files, base.server_name)
    masquerades = Masquerades(database, appservices, users, DeviceRows())
    roles = masquerades if appservices else None
    standings = Standings(database, StandingRows(), base.audit, clock)
    accounts_end = settings.accounts.validity.period_ms is not None
    authenticator = Authenticator(
        database, tokens, last_seen, clock, limiter, standings, accounts_end=accounts_end, roles=roles
    )
    devices = Devices(database, DeviceRows(), authenticator, last_seen, clock, base.audit)
    devices.hooks.deleted.append(masquerades.devices_deleted)
    lifetimes = SessionLifetimes(
        settings.sessions.access_token_lifetime_ms, settings.sessions.refresh_token_lifetime_ms
    )
    sessions = Sessions(database, users, tokens, authenticator, clock, devices.hooks, lifetimes)
    hasher = PasswordHasher(settings.passwords.hash_cost)
    policy = PasswordPolicy(settings.passwords.minimum_length, settings.passwords.minimum_kinds)
    credentials = _credentials(base, settings, users, hasher, limiter)
    token_stage = RegistrationTokenStage(database, RegistrationTokens(), clock)
    terms, second_factor = build_terms(base, settings.registration.policies), _second_factor(base, settings, users)
    ui_auth = _build_ui_auth(base, settings, credentials, token_stage, threepids.stage, terms, second_factor)

    base.life.on_start(standings.load)
    base.life.every(FLUSH_INTERVAL_MS, last_seen.flush, "flush-last-seen")
    base.life.every(HOUR_MS, sessions.tidy, "forget-expired-sessions")
    base.life.every(HOUR_MS, ui_auth.tidy, "forget-expired-authentications")
    base.life.on_stop(last_seen.flush)
    base.life.on_stop(_closing(hasher))
    base.life.reports_memory("authenticator", authenticator.memory_usage)
    base.life.reports_memory("last_seen", last_seen.memory_usage)
    base.life.reports_memory("standings", standings.memory_usage)
    return Identity(
        users, hasher, policy, credentials, authenticator, devices, sessions, token_stage, ui_auth, appservices, masquerades,
        standings, terms, second_factor,
    )  # fmt: skip


def _credentials(
    base: Foundation, settings: Settings, users: Users, hasher: PasswordHasher, limiter: AnyRateLimiter
) -> Credentials:
    back_off = BackOff(base.clock) if settings.rate_limits.enabled else None
    if back_off is not None:
        base.life.reports_memory("back_off", back_off.memory_usage)
    return Credentials(
        base.database, users, hasher, limiter, base.server_name, back_off, settings.accounts.hide_ended
    )  # fmt: skip


def _second_factor(base: Foundation, settings: Settings, users: Users) -> SecondFactor:
    required_of = settings.second_factor.required_of
    return SecondFactor(
        base.database, SecondFactorRows(), users, base.clock, base.audit, settings.server_name, required_of
    )


def _build_ui_auth(
    base: Foundation,
    settings: Settings,
    credentials: Credentials,
    token_stage: RegistrationTokenStage,
    email_stage: EmailStage,
    terms: Terms,
    second_factor: SecondFactor,
) -> UiAuth:
    stages: dict[str, Stage] = {
        DUMMY: DummyStage(),
        PASSWORD: PasswordStage(credentials),
        REGISTRATION_TOKEN: token_stage,
        EMAIL_IDENTITY: email_stage,
        TOTP: SecondFactorStage(second_factor),
    }
    captcha, params = settings.registration.recaptcha, dict[str, Mapping[str, Any]]()
    if terms.policies:
        stages[TERMS], params[TERMS] = terms, terms.params
    if captcha.public_key and captcha.private_key:
        verifier = CaptchaVerifier(captcha.siteverify_url, captcha.private_key, settings.outgoing_http.verify_tls)
        stages[RECAPTCHA] = RecaptchaStage(verifier.verify)
        params[RECAPTCHA] = {"public_key": captcha.public_key}
    return UiAuth(base.database, UiAuthSessionRows(), stages, base.clock, params, second_factor.stages)


def _closing(hasher: PasswordHasher) -> Step:
    async def close() -> None:
        hasher.close()

    return close
