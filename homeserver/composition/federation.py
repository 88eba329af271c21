"""Federation: how other servers are found and asked, and how a request is known to be theirs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from config.settings import Settings
from homeserver import VERSION
from homeserver.composition.foundation import Foundation
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.client import FederationClient
from homeserver.federation.connections import Connections
from homeserver.federation.dns import Dns, SystemDns
from homeserver.federation.keyring import Keyring
from homeserver.federation.notary import Notary
from homeserver.federation.own_keys import OwnKeys
from homeserver.federation.partners import Partners
from homeserver.federation.pauses import STORE_INTERVAL_MS, Pauses
from homeserver.federation.remote_call_tokens import FederatedCallTokens
from homeserver.federation.remote_openid import FederatedOpenId
from homeserver.federation.request_auth import RequestAuthenticator
from homeserver.federation.resolver import Resolver
from homeserver.federation.users.remote_directory import AskForPublicRooms
from homeserver.federation.users.remote_keys import RemoteDeviceKeys
from homeserver.federation.users.remote_profiles import AskForProfile
from homeserver.federation.well_known import WellKnown
from homeserver.http.auth import NoServers, ServerAuthenticator
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.keys import KeyEndpoints
from homeserver.http.federation.version import ServerVersionEndpoints
from homeserver.protocol.server_keys import ServerKey
from homeserver.protocol.signing import SigningKey
from homeserver.services.calls.remote_tokens import NoRemoteCallTokens, RemoteCallTokens
from homeserver.services.calls.visitors import NoRemoteOpenId, RemoteOpenId
from homeserver.services.directory.remote_rooms import NoRemotePublicRooms, RemotePublicRooms
from homeserver.services.keys.remote import NoOtherServersKeys, OtherServersKeys
from homeserver.services.profiles.remote import NoRemoteProfiles, RemoteProfiles
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.storage.cross_signing import CrossSigningKeys
from homeserver.storage.remote_devices import RemoteDevices
from homeserver.storage.server_keys import ServerKeyRows
from homeserver.storage.unreachable_servers import UnreachableServerRows

SERVER_SOFTWARE: Final = "VoiceChat"
DAY_MS: Final = 24 * 60 * 60_000


@dataclass(frozen=True, slots=True)
class FederationServices:
    """What others need of federation. Where it is switched off, nobody is asked and nobody is let in."""

    authenticator: ServerAuthenticator = field(default_factory=NoServers)
    openid: RemoteOpenId = field(default_factory=NoRemoteOpenId)
    call_tokens: RemoteCallTokens = field(default_factory=NoRemoteCallTokens)
    profiles: RemoteProfiles = field(default_factory=NoRemoteProfiles)
    public_rooms: RemotePublicRooms = field(default_factory=NoRemotePublicRooms)
    device_keys: OtherServersKeys = field(default_factory=NoOtherServersKeys)
    client: FederationClient | None = None
    keyring: Keyring | None = None
    endpoints: list[Endpoint] = field(default_factory=list)


def build_federation(
    base: Foundation,
    settings: Settings,
    signing_key: SigningKey,
    old_keys: Sequence[ServerKey],
    limiter: AnyRateLimiter,
    dns: Dns | None,
) -> FederationServices:
    """Nobody is asked anything before the first request that needs it. `old_keys`: what this server signed with earlier."""
    if not settings.federation.enabled:
        return FederationServices()
    pauses, partners = _pauses(base, settings), Partners(settings.federation.allow, settings.federation.deny)
    client = _client(base, settings, signing_key, pauses, partners, dns or SystemDns())
    own = OwnKeys(base.server_name, signing_key, base.clock, old_keys)
    rows = ServerKeyRows()
    keyring = Keyring(
        base.server_name,
        {**{old.key_id: old.verify_key for old in old_keys}, signing_key.key_id: signing_key.verify_key},
        client,
        base.database,
        rows,
        base.clock,
        settings.federation.trusted_key_servers,
        settings.rate_limits.enabled,
    )
    base.life.on_stop(keyring.stop)
    base.life.reports_memory("server_keys", keyring.memory_usage)
    endpoints = endpoints_of(
        KeyEndpoints(own.document, Notary(own, keyring, base.database, rows)),
        ServerVersionEndpoints(SERVER_SOFTWARE, VERSION),
    )
    profiles = AskForProfile(client, base.clock)
    base.life.on_stop(profiles.stop)
    base.life.reports_memory("remote_profiles", profiles.memory_usage)
    return FederationServices(
        RequestAuthenticator(base.server_name, keyring, pauses, limiter, partners),
        FederatedOpenId(client),
        FederatedCallTokens(client),
        profiles,
        AskForPublicRooms(client),
        RemoteDeviceKeys(base.database, RemoteDevices(), CrossSigningKeys(), client, base.clock, base.server_name),
        client,
        keyring,
        list(endpoints),
    )


def _pauses(base: Foundation, settings: Settings) -> Pauses:
    retry = settings.federation.retry
    pauses = Pauses(
        base.database, UnreachableServerRows(), base.clock, random.random, retry.initial_ms, retry.max_ms
    )  # fmt: skip
    base.life.on_start(pauses.load)
    base.life.every(STORE_INTERVAL_MS, pauses.store, "store-unreachable-servers")
    base.life.every(DAY_MS, pauses.tidy, "forget-unreachable-servers")
    base.life.on_stop(pauses.store)
    base.life.reports_memory("unreachable_servers", pauses.memory_usage)
    return pauses


def _client(
    base: Foundation, settings: Settings, signing_key: SigningKey, pauses: Pauses, partners: Partners, dns: Dns
) -> FederationClient:
    guard = AddressGuard(settings.federation.ip_denylist)
    connections = Connections(dns, guard, settings.federation.ca_file)
    well_known = WellKnown(connections.page, base.clock)
    resolver = Resolver(dns, well_known, base.clock, random.random)
    base.life.on_start(connections.check)
    base.life.on_stop(connections.close)
    base.life.on_stop(well_known.stop)
    base.life.reports_memory("well_known", well_known.memory_usage)
    base.life.reports_memory("services_of_servers", resolver.memory_usage)
    return FederationClient(base.server_name, signing_key, resolver, connections, pauses, partners)
