"""A provider as the administrator describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from homeserver.services.upstream.claims import AttributeMapping

Collisions = Literal["ask", "number", "refuse", "adopt"]
ClientAuthentication = Literal["client_secret_basic", "client_secret_post", "none"]

# What is signed with a secret that both sides know, or not at all, is not taken whatever a provider offers.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """What follows when somebody signs in with a provider."""

    registers: bool = True
    """Whether people get an account when they first come."""
    collisions: Collisions = "ask"
    """Where a local account has the name already. "ask": the password of that account, or another name. "number": the
    name with a number. "refuse": nobody gets in. "adopt": the account is his, because the provider gives out all names.
    """
    updates_profile: bool = False
    """Name and avatar follow the provider each time; else only at first."""
    trusts_email: bool = True
    """Whether an address that the provider calls verified counts as proved."""
    allowed_groups: frozenset[str] = frozenset()
    """Only who is in one of them gets in; empty: everybody."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What all kinds of providers have. `id` is part of addresses and of stored records: it never changes."""

    id: str
    name: str
    brand: str | None = None
    icon: str | None = None
    """An mxc URI."""
    policy: AccountPolicy = field(default_factory=AccountPolicy)
    attributes: AttributeMapping = field(default_factory=AttributeMapping)


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """OpenID Connect."""

    provider: Provider
    issuer: str
    client_id: str
    client_secret: str | None = None
    client_authentication: ClientAuthentication = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    algorithms: frozenset[str] = frozenset({"RS256", "ES256", "PS256", "EdDSA", "Ed25519"})
    asks_userinfo: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)
    """More for the authorization request, such as `prompt` or `hd`."""
