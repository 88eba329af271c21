"""The ways to an account: open registration, the shared secret, the setup link."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import RegistrationSettings, Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.identity import Identity
from homeserver.composition.threepids import ThreepidServices
from homeserver.http.admin.registration import SharedSecretEndpoints
from homeserver.http.admin.registration_tokens import RegistrationTokenEndpoints
from homeserver.http.client.registration import RegistrationEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.setup import SetupEndpoints
from homeserver.services.appservices.accounts import BridgedAccounts
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.registration.registration import Registration, RegistrationRules
from homeserver.services.registration.setup_link import SetupLinks
from homeserver.services.registration.shared_secret import SharedSecretRegistration
from homeserver.services.registration.tokens import TokenAdministration
from homeserver.services.registration.usernames import Usernames
from homeserver.storage.registration_tokens import SetupLinkRows


@dataclass(frozen=True, slots=True)
class RegistrationServices:
    """`new_accounts` is where all accounts come from."""

    new_accounts: NewAccounts
    registration: Registration
    setup_links: SetupLinks
    bridged: BridgedAccounts
    endpoints: list[Endpoint]


def build_registration(
    base: Foundation, settings: Settings, identity: Identity, public_baseurl: str, threepids: ThreepidServices
) -> RegistrationServices:
    """Application services reserve their names."""
    database, clock, sessions = base.database, base.clock, identity.sessions
    notices = settings.server_notices.localpart
    usernames = Usernames(base.server_name, frozenset([notices] if notices else []))
    usernames.reserved_by.append(identity.appservices.reserves_user)
    new_accounts = NewAccounts(
        database,
        identity.users,
        identity.hasher,
        identity.policy,
        usernames,
        clock,
        settings.accounts.validity.period_ms,
    )
    registration = Registration(
        database=database,
        rules=_rules(settings.registration, threepids.sends_mail),
        accounts=new_accounts,
        sessions=sessions,
        authenticator=identity.authenticator,
        ui_auth=identity.ui_auth,
        tokens=identity.token_stage.tokens,
        addresses=threepids.addresses,
        terms=identity.terms,
        clock=clock,
    )
    shared_secret = SharedSecretRegistration(
        settings.registration.shared_secret, new_accounts, sessions, clock, base.audit
    )
    setup_links = SetupLinks(database, SetupLinkRows(), new_accounts, clock, public_baseurl, base.audit)
    bridged = BridgedAccounts(database, identity.appservices, new_accounts, sessions)
    endpoints = endpoints_of(
        RegistrationEndpoints(registration, identity.token_stage, bridged),
        SharedSecretEndpoints(shared_secret),
        RegistrationTokenEndpoints(TokenAdministration(database, identity.token_stage.tokens, clock, base.audit)),
        SetupEndpoints(setup_links),
    )
    return RegistrationServices(new_accounts, registration, setup_links, bridged, list(endpoints))


def _rules(settings: RegistrationSettings, sends_mail: bool) -> RegistrationRules:
    return RegistrationRules(
        enabled=settings.enabled,
        guests=settings.guests,
        token_required=settings.require_verification,
        captcha_required=settings.recaptcha.in_flow,
        captcha_possible=bool(settings.recaptcha.public_key and settings.recaptcha.private_key),
        terms_required=bool(settings.policies),
        email_required=settings.require_email or bool(settings.email_domains),
        email_possible=sends_mail,
    )
