"""A directory that knows passwords: LDAP, Active Directory."""

from __future__ import annotations

from typing import Final

from config.errors import ConfigError
from config.settings import LdapSettings, Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.services.ldap.ask import AskDirectory
from homeserver.services.ldap.client import LdapClient
from homeserver.services.ldap.directory import DN, USER, Directory, Transport
from homeserver.services.ldap.sign_in import LdapSignIn
from homeserver.services.upstream.claims import AttributeMapping
from homeserver.services.upstream.provider import AccountPolicy, Provider
from homeserver.services.upstream.provisioning import Provisioning
from homeserver.storage.external_ids import ExternalIdRows
from homeserver.storage.threepids import ThreepidRows

LDAP: Final = "ldap"
SCHEMES: Final = ("ldap://", "ldaps://")


def build_ldap(base: Foundation, settings: Settings, accounts: AccountServices) -> LdapSignIn | None:
    """None where the settings name none. `on_signed_in` is filled by other groups. Raises ConfigError."""
    ldap = settings.ldap
    if ldap.url is None:
        return None
    _check(ldap)
    if any(each.id == LDAP for each in settings.sso.providers):
        raise ConfigError(f"sso.providers: the id {LDAP!r} is that of the directory: choose another one.")
    timeout_s = ldap.timeout_ms / 1000
    ask = AskDirectory(LdapClient(directory_of(ldap), ldap.connections), base.clock, timeout_s, ldap.connections)
    provisioning = Provisioning(
        base.database, ExternalIdRows(), ThreepidRows(), accounts.new_accounts, base.clock, base.audit
    )  # fmt: skip
    sign_in = LdapSignIn(base.database, _provider(ldap), ask, ExternalIdRows(), provisioning, accounts.profiles)
    accounts.identity.credentials.directories.append(sign_in)
    accounts.accounts.kept_elsewhere.append(sign_in.keeps_password_of)
    base.life.on_stop(ask.stop)
    return sign_in


def _check(ldap: LdapSettings) -> None:
    """Raises ConfigError with the remedy."""
    if ldap.url is None or not ldap.url.startswith(SCHEMES):
        raise ConfigError("ldap: url begins with ldap:// or ldaps://.")
    if not ldap.base_dn:
        raise ConfigError("ldap: base_dn is needed: where people are, such as ou=people,dc=example,dc=org.")
    if USER not in ldap.filter:
        raise ConfigError(f"ldap: filter has to contain {USER}, such as (uid={USER}).")
    if DN not in ldap.groups.filter and USER not in ldap.groups.filter:
        raise ConfigError(f"ldap: groups: filter has to contain {DN} or {USER}, such as (member={DN}).")
    if (ldap.bind_dn is None) != (ldap.bind_password is None):
        raise ConfigError("ldap: bind_dn and bind_password are given both, or neither.")


def directory_of(ldap: LdapSettings) -> Directory:
    """From the settings, which have been checked."""
    assert ldap.url is not None
    attributes = ldap.attributes
    return Directory(
        transport=Transport(ldap.url, ldap.start_tls, ldap.verify_tls, ldap.ca_file, ldap.timeout_ms / 1000),
        base_dn=ldap.base_dn,
        bind_dn=ldap.bind_dn,
        bind_password=ldap.bind_password,
        user_filter=ldap.filter,
        id_attribute=attributes.id,
        attributes=tuple(dict.fromkeys((*attributes.localpart, *attributes.display_name, *attributes.email))),
        group_base_dn=ldap.groups.base_dn,
        group_filter=ldap.groups.filter,
        group_attribute=ldap.groups.name,
        member_of=attributes.member_of,
    )


def _provider(ldap: LdapSettings) -> Provider:
    policy = AccountPolicy(
        ldap.registers, ldap.collisions, ldap.update_profile, ldap.trust_email, frozenset(ldap.allowed_groups)
    )  # fmt: skip
    attributes = ldap.attributes
    mapping = AttributeMapping(attributes.localpart, attributes.display_name, (), attributes.email, ("groups",))
    return Provider(LDAP, "LDAP", policy=policy, attributes=mapping)
