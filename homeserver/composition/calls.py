"""Calls: tokens for the SFU, rights in it, delegated leaves, TURN."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.settings import Settings, VoiceSettings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.federation import FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.voice_addresses import sfu_url, turn_access
from homeserver.http.client.rtc import RtcEndpoints, RtcTransports, TurnEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.rtc import FederatedRtcEndpoints
from homeserver.http.voice.token_service import ROOT, TokenServiceEndpoints
from homeserver.services.calls.delegation import TICK_MS, DelayedLeaves, Delegations
from homeserver.services.calls.identities import PRUNE_INTERVAL_MS, VoiceIdentities
from homeserver.services.calls.revocation import RETRY_INTERVAL_MS, Revocation
from homeserver.services.calls.tokens import CallTokens
from homeserver.services.calls.turn import TurnServer
from homeserver.services.calls.visitors import Visitors
from homeserver.storage.voice_identities import VoiceIdentityRows
from voice.sfu.backend import RoomOptions, SfuBackend


@dataclass(frozen=True, slots=True)
class CallServices:
    """What others need of calls; without an SFU there are none, and only TURN remains."""

    identities: VoiceIdentities | None = None
    tokens: CallTokens | None = None
    well_known: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of /.well-known/matrix/client."""
    addresses: Collection[str] = ()
    """By which memberships name our SFU."""
    endpoints: list[Endpoint] = field(default_factory=list)


def build_calls(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    public_baseurl: str,
    backend: SfuBackend | None,
    delayed: DelayedLeaves,
    federation: FederationServices,
) -> CallServices:
    """The backend is started and stopped by whoever made it."""
    relays = turn_access(settings.voice.turn)
    turn = list(endpoints_of(TurnEndpoints(None if relays is None else TurnServer(relays, base.clock))))
    if backend is None:
        return CallServices(endpoints=turn)
    identities = VoiceIdentities(base.database, VoiceIdentityRows(), base.clock)
    tokens = CallTokens(
        base.server_name, backend, base.cache, identities, accounts.standings, _defaults(settings.voice)
    )
    revocation = Revocation(backend, base.cache, identities, tokens)
    delegations = Delegations(delayed, identities, base.clock)
    _live(base, accounts, backend, identities, revocation, delegations)

    transports = _transports(settings.voice, public_baseurl)
    visitors = Visitors(base.server_name, accounts.openid_tokens, federation.openid)
    endpoints = endpoints_of(
        RtcEndpoints(transports, tokens, delegations, federation.call_tokens),
        FederatedRtcEndpoints(tokens, transports.sfu_urls),
        TokenServiceEndpoints(visitors, tokens, identities, delegations),
    )
    well_known = {"org.matrix.msc4143.rtc_foci": transports.by_service}
    return CallServices(identities, tokens, well_known, transports.addresses, [*turn, *endpoints])


def _live(
    base: Foundation,
    accounts: AccountServices,
    backend: SfuBackend,
    identities: VoiceIdentities,
    revocation: Revocation,
    delegations: Delegations,
) -> None:
    # Identities first: the others ask them who is there.
    backend.on_event(identities.follow)
    backend.on_event(revocation.follow_sfu)
    backend.on_event(delegations.follow_sfu)
    base.announcer.on_events(revocation.follow_events)
    base.announcer.on_resolved(revocation.follow_resolved)
    accounts.devices.hooks.deleted.append(revocation.end_devices)
    accounts.standings.on_restricted.append(revocation.end_user)
    base.life.on_start(identities.start)
    base.life.on_start(delegations.start)
    base.life.on_stop(revocation.stop)
    base.life.on_stop(delegations.stop)
    base.life.every(RETRY_INTERVAL_MS, revocation.retry, "tell-the-sfu-again")
    base.life.every(TICK_MS, delegations.tick, "delegated-leaves")
    base.life.every(PRUNE_INTERVAL_MS, identities.prune, "prune-voice-identities")
    base.life.reports_memory("voice_identities", identities.memory_usage)
    base.life.reports_memory("delegated_leaves", delegations.memory_usage)


def _defaults(voice: VoiceSettings) -> RoomOptions:
    return RoomOptions(voice.max_participants, voice.audio.bitrate, voice.audio.frame_ms)


def _transports(voice: VoiceSettings, public_baseurl: str) -> RtcTransports:
    if voice.backend == "livekit":
        urls = [cluster.url.rstrip("/") for cluster in voice.livekit]
    else:
        urls = [sfu_url(public_baseurl)]
    return RtcTransports(f"{public_baseurl.rstrip('/')}{ROOT}", urls)
