"""Accounts, sessions, devices, profiles, filters: who somebody is, and on which device."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.account_validity import build_account_validity
from homeserver.composition.foundation import Foundation
from homeserver.composition.identity import HOUR_MS, Identity, build_identity
from homeserver.composition.identity_servers import IdentityServers
from homeserver.composition.registration import build_registration
from homeserver.composition.threepids import ThreepidServices, build_threepids
from homeserver.http.client.account import AccountEndpoints
from homeserver.http.client.account_moderation import AccountModerationEndpoints
from homeserver.http.client.auth_fallback import AuthFallbackEndpoints
from homeserver.http.client.confirm_address import ConfirmAddressEndpoints
from homeserver.http.client.devices import DeviceEndpoints
from homeserver.http.client.email_fallback import EmailFallbackEndpoints
from homeserver.http.client.filter import FilterEndpoints
from homeserver.http.client.login import LoginEndpoints
from homeserver.http.client.login_fallback import LoginFallbackEndpoints
from homeserver.http.client.openid import OpenIdEndpoints
from homeserver.http.client.profile import ProfileEndpoints
from homeserver.http.client.request_tokens import RequestTokenEndpoints
from homeserver.http.client.threepids import ThreepidEndpoints
from homeserver.http.client.whois import WhoIsEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.web.second_factor import PATH as SECOND_FACTOR_PAGE
from homeserver.services.accounts.account import FINISH_INTERVAL_MS, Accounts
from homeserver.services.accounts.login import IsCrossSigningKey, Login
from homeserver.services.accounts.login_tokens import LoginTokens
from homeserver.services.accounts.openid_tokens import OpenIdTokens
from homeserver.services.appservices.accounts import BridgedAccounts
from homeserver.services.appservices.masquerades import Masquerades
from homeserver.services.appservices.registry import Appservices
from homeserver.services.devices import Devices
from homeserver.services.filters.filters import Filters
from homeserver.services.mail.letters import Letters
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.profiles.remote import RemoteProfiles
from homeserver.services.profiles.updates import ProfileUpdates
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.registration.registration import Registration
from homeserver.services.registration.setup_link import SetupLinks
from homeserver.services.second_factor.login import LoginFactor
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.borrowed import BorrowedSessions
from homeserver.services.standing.moderation import AccountModeration
from homeserver.services.standing.standings import Standings
from homeserver.services.ui_auth.ui_auth import UiAuth
from homeserver.storage.borrowed_tokens import BorrowedTokenRows
from homeserver.storage.cross_signing import CrossSigningKeys
from homeserver.storage.filters import FilterRows
from homeserver.storage.login_tokens import LoginTokenRows
from homeserver.storage.openid_tokens import OpenIdTokenRows
from homeserver.storage.profiles import ProfileRows


@dataclass(frozen=True, slots=True)
class AccountServices:
    """What other groups need of accounts."""

    identity: Identity
    authenticator: Authenticator
    devices: Devices
    new_accounts: NewAccounts
    registration: Registration
    setup_links: SetupLinks
    login: Login
    accounts: Accounts
    profiles: Profiles
    filters: Filters
    ui_auth: UiAuth
    openid_tokens: OpenIdTokens
    appservices: Appservices
    masquerades: Masquerades
    bridged: BridgedAccounts
    standings: Standings
    threepids: ThreepidServices
    identity_servers: IdentityServers
    borrowed: BorrowedSessions
    endpoints: list[Endpoint] = field(default_factory=list)


def build_accounts(
    base: Foundation,
    settings: Settings,
    public_baseurl: str,
    limiter: AnyRateLimiter,
    remote_profiles: RemoteProfiles,
    letters: Letters | None,
    identity_servers: IdentityServers,
) -> AccountServices:
    """Hooks (`devices.hooks`, `accounts.on_deactivated`) are filled by the groups that have to know."""
    database, clock = base.database, base.clock
    threepids = build_threepids(base, settings, public_baseurl, limiter, letters)
    identity = build_identity(base, settings, limiter, threepids)
    registration = build_registration(base, settings, identity, public_baseurl, threepids)
    login_tokens = LoginTokens(database, LoginTokenRows(), clock, base.audit)
    login = Login(
        identity.credentials,
        identity.sessions,
        login_tokens,
        LoginFactor(identity.second_factor, public_baseurl.rstrip("/") + SECOND_FACTOR_PAGE),
        base.audit,
        _cross_signing_lookup(base),
    )
    accounts = Accounts(database, identity.users, identity.devices, identity.hasher, identity.policy, clock)
    updates = ProfileUpdates(database, ProfileRows(), base.account_data, base.awake, base.announcer)
    profiles = Profiles(database, ProfileRows(), base.server_name, remote_profiles, updates)
    base.life.on_start(updates.load)
    borrowed = BorrowedSessions(
        database, BorrowedTokenRows(), identity.users, identity.authenticator, base.audit, clock
    )  # fmt: skip
    filters = Filters(database, FilterRows())
    openid_tokens = OpenIdTokens(database, OpenIdTokenRows(), clock)

    moderation = AccountModeration(database, identity.users, identity.standings, base.server_name)
    _end_with_accounts(accounts, identity, borrowed, identity_servers, threepids)
    base.life.every(HOUR_MS, borrowed.tidy, "forget-expired-borrowed-tokens")
    base.life.every(HOUR_MS, login_tokens.tidy, "forget-expired-login-tokens")
    base.life.every(HOUR_MS, openid_tokens.tidy, "forget-expired-openid-tokens")
    base.life.every(FINISH_INTERVAL_MS, accounts.finish_deactivations, "finish-deactivations")
    base.life.reports_memory("filters", filters.memory_usage)
    endpoints = endpoints_of(
        LoginEndpoints(
            login, login_tokens, identity.sessions, identity.devices, identity.ui_auth, registration.bridged, borrowed
        ),
        AccountEndpoints(
            accounts,
            identity.ui_auth,
            identity_servers.bindings,
            threepids.reset_password(accounts) if threepids.sends_mail else None,
        ),
        DeviceEndpoints(identity.devices, identity.ui_auth),
        WhoIsEndpoints(identity.devices),
        AccountModerationEndpoints(moderation),
        ProfileEndpoints(profiles, limiter),
        FilterEndpoints(filters),
        OpenIdEndpoints(openid_tokens, base.server_name),
        AuthFallbackEndpoints(identity.ui_auth),
        LoginFallbackEndpoints(),
    )
    by_address = endpoints_of(
        ThreepidEndpoints(accounts, threepids.addresses, identity_servers.bindings, identity.ui_auth),
        RequestTokenEndpoints(threepids.request_mail),
        ConfirmAddressEndpoints(threepids.proofs, base.server_name, settings.email.confirm_with_button),
        EmailFallbackEndpoints(identity.ui_auth, threepids.request_mail),
    )
    validity = build_account_validity(base, settings, public_baseurl, identity, letters)
    return AccountServices(
        identity=identity,
        authenticator=identity.authenticator,
        devices=identity.devices,
        new_accounts=registration.new_accounts,
        registration=registration.registration,
        setup_links=registration.setup_links,
        login=login,
        accounts=accounts,
        profiles=profiles,
        filters=filters,
        ui_auth=identity.ui_auth,
        openid_tokens=openid_tokens,
        appservices=identity.appservices,
        masquerades=identity.masquerades,
        bridged=registration.bridged,
        standings=identity.standings,
        threepids=threepids,
        identity_servers=identity_servers,
        borrowed=borrowed,
        endpoints=[*registration.endpoints, *endpoints, *by_address, *validity],
    )


def _end_with_accounts(
    accounts: Accounts,
    identity: Identity,
    borrowed: BorrowedSessions,
    identity_servers: IdentityServers,
    threepids: ThreepidServices,
) -> None:
    """What ends with an account, and what with its password."""
    accounts.on_deactivated.extend(
        (
            identity.masquerades.user_deactivated,
            borrowed.user_deactivated,
            identity_servers.bindings.account_ended,
            identity.second_factor.user_deactivated,
        )
    )
    # Whoever changes his password may fear that somebody else was signed in, and took such tokens.
    accounts.on_password_changed.extend(
        (threepids.proofs.password_changed, borrowed.end_of_admin, threepids.notices.password_changed)
    )


def _cross_signing_lookup(base: Foundation) -> IsCrossSigningKey:
    keys = CrossSigningKeys()

    async def is_cross_signing_key(user_id: str, device_id: str) -> bool:
        return any(key.public_key == device_id for key in await keys.of_users(base.database, [user_id]))

    return is_cross_signing_key
