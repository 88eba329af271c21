"""Providers that people sign in with: OpenID Connect and CAS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.errors import ConfigError
from config.settings import CasClaimSettings, CasSettings, ClaimSettings, OidcProviderSettings, Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.browser_sessions import BrowserServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.media import MediaServices
from homeserver.composition.previews import user_agent_of
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.connections import Connections
from homeserver.federation.dns import Dns, SystemDns
from homeserver.federation.provider_web import GuardedProviderWeb
from homeserver.federation.web.avatars import GuardedPictures
from homeserver.federation.web.pages import WebPages
from homeserver.http.client.cas import TICKET_PATH, CasEndpoints
from homeserver.http.client.cas_unbound import UnboundCasEndpoints
from homeserver.http.client.sso import SSO, SsoEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.web.account import AccountLink
from homeserver.http.web.detours import page_at
from homeserver.http.web.linked_providers import OPEN_PATH, LinkedProviderPages
from homeserver.http.web.providers import CALLBACK, PROVIDER_PATH, ProviderPages
from homeserver.http.web.sso_errands import CLIENT_PATH, CONFIRM_PATH, SsoErrandPages
from homeserver.services.browser_sessions.methods import SignInMethod
from homeserver.services.upstream.arrivals import Arrivals
from homeserver.services.upstream.cas import CasClient
from homeserver.services.upstream.claims import AttributeMapping, check_entry
from homeserver.services.upstream.client import ProviderClient
from homeserver.services.upstream.clients import TrustedClients
from homeserver.services.upstream.discovery import is_web_url
from homeserver.services.upstream.linked import CONNECT, LinkedProviders
from homeserver.services.upstream.oidc import OidcClient
from homeserver.services.upstream.origins import Origins
from homeserver.services.upstream.profile import FillProfileFromProvider
from homeserver.services.upstream.provider import ALGORITHMS, AccountPolicy, OidcProvider, Provider
from homeserver.services.upstream.provisioning import Provisioning
from homeserver.services.upstream.sign_in import CONNECTIONS_PATH, UI_AUTH, ProviderSignIn
from homeserver.services.upstream.ui_auth import OfferSso
from homeserver.services.upstream.visits import Visits
from homeserver.storage.external_ids import ExternalIdRows
from homeserver.storage.provider_visits import ProviderVisitRows
from homeserver.storage.sign_in_origins import SignInOriginRows
from homeserver.storage.threepids import ThreepidRows

HOUR_MS: Final = 60 * 60_000
CAS: Final = "cas"
_ID = re.compile(r"[a-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ProviderServices:
    """`sign_in.on_signed_in` is filled by other groups. `origins`: sessions that a provider can end. None: no provider."""

    sign_in: ProviderSignIn | None
    origins: Origins
    external_ids: ExternalIdRows
    account_links: list[AccountLink] = field(default_factory=list)
    """For the page of the account."""
    endpoints: list[Endpoint] = field(default_factory=list)


def build_providers(
    base: Foundation,
    settings: Settings,
    public_baseurl: str,
    accounts: AccountServices,
    web: BrowserServices,
    media: MediaServices,
    dns: Dns | None,
) -> ProviderServices:
    """Nobody is asked anything before somebody comes. Raises ConfigError for providers that cannot be."""
    rows = ExternalIdRows()
    origins = Origins(base.database, SignInOriginRows(), accounts.devices, base.clock, base.audit)
    clients = _clients(base, settings, public_baseurl.rstrip("/"), dns)
    visits = Visits(base.database, ProviderVisitRows(), web.browsers, base.clock)
    provisioning = Provisioning(
        base.database, rows, ThreepidRows(), accounts.new_accounts, base.clock, base.audit
    )  # fmt: skip
    pages = WebPages(
        dns or SystemDns(), AddressGuard(settings.outgoing_http.ip_denylist), user_agent_of(base.server_name, public_baseurl),
        "*", verify_tls=settings.outgoing_http.verify_tls,
    )  # fmt: skip
    base.life.on_stop(pages.close)
    fill_profile = FillProfileFromProvider(accounts.profiles, media.uploads, GuardedPictures(pages))
    arrivals = Arrivals(base.database, ProviderVisitRows(), base.clock)
    sign_in = ProviderSignIn(
        clients, web.browsers, visits, arrivals, provisioning, origins, fill_profile, base.audit
    )  # fmt: skip
    base.life.every(HOUR_MS, visits.tidy, "forget-expired-visits-to-providers")
    base.life.every(HOUR_MS, origins.tidy, "forget-expired-logout-tokens")
    _offer(base, settings, accounts, web, sign_in, rows)
    links = [AccountLink("Sign-in with providers", OPEN_PATH)] if clients else []
    endpoints = _endpoints(base, settings, public_baseurl, accounts, web, sign_in)
    return ProviderServices(sign_in if clients else None, origins, rows, links, endpoints)


def _offer(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    web: BrowserServices,
    sign_in: ProviderSignIn,
    rows: ExternalIdRows,
) -> None:
    """On the sign-in page, to clients, and where something has to be confirmed."""
    for client in sign_in.clients.values():
        provider = client.provider
        web.methods.providers.append(
            SignInMethod(provider.id, provider.name, provider.brand, f"{PROVIDER_PATH}/{provider.id}")
        )
    web.browsers.continuations[SSO] = page_at(CLIENT_PATH)
    web.browsers.continuations[CONNECT] = page_at(CONNECTIONS_PATH)
    web.browsers.continuations[UI_AUTH] = page_at(CONFIRM_PATH)
    shown = [_shown(client.provider) for client in sign_in.clients.values()]
    accounts.login.more_flows.append(_flow(shown))
    if CAS in sign_in.clients:
        accounts.login.more_flows.append({"type": "m.login.cas"})
    if sign_in.clients:
        accounts.login.on_from_browser.append(sign_in.origins.device_from_browser)
        web.browsers.on_device_granted.append(sign_in.origins.device_granted)
        accounts.devices.hooks.made.append(sign_in.origins.device_made)
        accounts.ui_auth.ways.append(OfferSso(base.database, rows))


def _flow(shown: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Also without providers: our sign-in page asks for passwords and codes, which not every client knows to ask for.

    Clients that know OAuth without speaking it are to offer this and nothing else (MSC3824; the second name is its old one).
    """
    providers = {"identity_providers": list(shown)} if shown else {}
    aware = {"oauth_aware_preferred": True, "org.matrix.msc3824.delegated_oidc_compatibility": True}
    return {"type": "m.login.sso", **providers, **aware}


def _shown(provider: Provider) -> dict[str, str]:
    """As in the spec's `IdentityProvider`."""
    shown = {"id": provider.id, "name": provider.name, "brand": provider.brand, "icon": provider.icon}
    return {name: value for name, value in shown.items() if value is not None}


def _endpoints(
    base: Foundation,
    settings: Settings,
    public_baseurl: str,
    accounts: AccountServices,
    web: BrowserServices,
    sign_in: ProviderSignIn,
) -> list[Endpoint]:
    trusted = TrustedClients(
        (f"{public_baseurl.rstrip('/')}/_matrix/static/client/login/", *settings.sso.trusted_clients)
    )
    only = next(iter(sign_in.clients)) if len(sign_in.clients) == 1 else None
    pages = ProviderPages(sign_in, web.browsers, web.password, web.cookies, base.server_name)
    errands = SsoErrandPages(
        base.database, web.browsers, accounts.login.tokens, accounts.ui_auth, web.cookies, trusted
    )  # fmt: skip
    linked = LinkedProviderPages(
        sign_in,
        LinkedProviders(base.database, ExternalIdRows(), accounts.identity.users, base.audit),
        web.browsers,
        web.cookies,
    )
    sso = SsoEndpoints(sign_in, web.browsers, web.cookies, accounts.ui_auth, only, web.methods.can_register)
    cas = sign_in.clients.get(CAS)
    if isinstance(cas, CasClient) and only == CAS and not settings.cas.bound_to_browser:
        return [*endpoints_of(pages, linked, errands, UnboundCasEndpoints(cas, sso, errands))]
    more = [CasEndpoints(pages, CAS)] if cas is not None else []
    return [*endpoints_of(pages, linked, errands, sso, *more)]


def _clients(
    base: Foundation, settings: Settings, public_baseurl: str, dns: Dns | None
) -> Mapping[str, ProviderClient]:
    if not settings.sso.providers and settings.cas.server_url is None:
        return {}
    connections = Connections(
        dns or SystemDns(), AddressGuard(settings.sso.ip_denylist), verify_tls=settings.outgoing_http.verify_tls
    )  # fmt: skip
    base.life.on_stop(connections.close)
    asking, clients = GuardedProviderWeb(connections), dict[str, ProviderClient]()
    for each in settings.sso.providers:
        if each.id in clients or each.id == CAS:
            raise ConfigError(f"sso.providers: there are two with the id {each.id!r}.")
        redirect_uri = f"{public_baseurl}{PROVIDER_PATH}/{each.id}/{CALLBACK}"
        # Who does not check certificates tests, and may do so without any.
        allow_http = not settings.outgoing_http.verify_tls
        clients[each.id] = OidcClient(_oidc(each, allow_http), redirect_uri, asking, base.clock, allow_http)
    if settings.cas.server_url is not None:
        server_url = settings.cas.server_url.rstrip("/")
        clients[CAS] = CasClient(_cas(settings.cas), server_url, public_baseurl + TICKET_PATH, asking)
    return clients


def _oidc(each: OidcProviderSettings, allow_http: bool) -> OidcProvider:
    _check(each, allow_http)
    policy = AccountPolicy(
        each.registers, each.collisions, each.update_profile, each.trust_email, frozenset(each.allowed_groups)
    )  # fmt: skip
    provider = Provider(each.id, each.name or each.id, each.brand, each.icon, policy, _mapping(each.id, each.claims))
    return OidcProvider(
        provider=provider,
        issuer=each.issuer,
        client_id=each.client_id,
        client_secret=each.client_secret,
        client_authentication=each.client_authentication,
        scopes=each.scopes,
        algorithms=frozenset(each.algorithms),
        asks_userinfo=each.userinfo,
        parameters=dict(pair.split("=", 1) for pair in each.parameters),
    )


def _check(each: OidcProviderSettings, allow_http: bool) -> None:
    """Raises ConfigError with the remedy."""
    place = f"sso.providers ({each.id or 'without id'})"
    if not _ID.fullmatch(each.id):
        raise ConfigError(f"{place}: id has 1 to 64 characters of a-z, 0-9, '-' and '_'.")
    if not is_web_url(each.issuer, allow_http=allow_http):
        raise ConfigError(f"{place}: issuer has to be an https:// address, not {each.issuer!r}.")
    if not each.client_id or (each.client_secret is None and each.client_authentication != "none"):
        raise ConfigError(
            f"{place}: client_id and client_secret are needed; client_authentication: none without a secret."
        )
    if not set(each.algorithms) <= set(ALGORITHMS) or not each.algorithms:
        raise ConfigError(f"{place}: algorithms are some of {', '.join(ALGORITHMS)}.")
    if "openid" not in each.scopes:
        raise ConfigError(f"{place}: scopes have to contain openid.")
    if any("=" not in pair for pair in each.parameters):
        raise ConfigError(f"{place}: parameters are written as [name=value].")


def _cas(settings: CasSettings) -> Provider:
    policy = AccountPolicy(settings.registers, settings.collisions)
    return Provider(CAS, settings.name, policy=policy, attributes=_mapping(CAS, settings.claims))


def _mapping(provider_id: str, claims: ClaimSettings | CasClaimSettings) -> AttributeMapping:
    mapping = AttributeMapping(claims.localpart, claims.display_name, claims.avatar, claims.email, claims.groups)
    for chain in (claims.localpart, claims.display_name, claims.avatar, claims.email, claims.groups):
        for entry in chain:
            try:
                check_entry(entry)
            except ValueError as error:
                raise ConfigError(f"sso.providers ({provider_id}): claims: {error}.") from None
    return mapping
