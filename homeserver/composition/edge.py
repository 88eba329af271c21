"""What describes the server, and the edge that serves all endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import ListenerSettings, Settings
from homeserver.composition.foundation import Foundation
from homeserver.http.auth import Authenticator, ServerAuthenticator
from homeserver.http.client.capabilities import CapabilityEndpoints
from homeserver.http.client.versions import VersionEndpoints, forced_encryption, unstable_features
from homeserver.http.edge import Edge
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.limits import ClientAddresses, RateLimiter
from homeserver.http.observer import Observer
from homeserver.http.router import Router
from homeserver.http.well_known import HealthEndpoints, WellKnownEndpoints
from homeserver.protocol.room_versions import ROOM_VERSIONS


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What every listener's edge is made of."""

    endpoints: Sequence[Endpoint]
    authenticator: Authenticator
    rate_limiter: RateLimiter
    observer: Observer
    servers: ServerAuthenticator


def describe(
    base: Foundation,
    settings: Settings,
    public_baseurl: str,
    endpoints: list[Endpoint],
    client_extra: Mapping[str, Any],
) -> list[Endpoint]:
    """All endpoints: the given ones, and those that tell clients about them. `client_extra` goes into the well-known."""

    async def check() -> None:
        await base.database.fetchval("SELECT 1")

    well_known = settings.well_known
    described = [
        *endpoints,
        *endpoints_of(
            CapabilityEndpoints(
                settings.rooms.default_version,
                {name: rules.is_stable for name, rules in ROOM_VERSIONS.items()},
                third_party_ids=settings.email.smtp_host is not None,
                login_tokens=True,
                account_moderation=True,
            ),
            WellKnownEndpoints(
                public_baseurl,
                well_known.server,
                _contacts(settings),
                well_known.support_page,
                client_extra,
                well_known.policy_server_key,
            ),
            HealthEndpoints(check),
        ),
    ]
    features = {**unstable_features(described), **forced_encryption(settings.rooms.encrypt_by_default)}
    return [*described, *endpoints_of(VersionEndpoints(features))]


def _contacts(settings: Settings) -> list[dict[str, str]]:
    contact = settings.well_known.admin_contact
    if contact is None:
        return []
    return [{"role": "m.role.admin", ("matrix_id" if contact.startswith("@") else "email_address"): contact}]


def build_edge(parts: EdgeParts, settings: Settings, listener: ListenerSettings) -> Edge:
    """The edge of one listener: only the resources that it serves."""
    return Edge(
        router=Router(parts.endpoints, listener.resources),
        authenticator=parts.authenticator,
        rate_limiter=parts.rate_limiter,
        addresses=ClientAddresses(listener.trusted_proxies),
        observer=parts.observer,
        servers=parts.servers,
        token_in_query=settings.sessions.token_in_query,
    )
