"""Profiles of identity providers: few lines for the administrator, and his lines count."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load_settings
from config.profiles import profile_names
from config.settings import ClaimSettings, OidcProviderSettings
from homeserver.services.upstream.claims import AttributeMapping, check_entry


def _provider(folder: Path, text: str) -> OidcProviderSettings:
    file = folder / "config.yaml"
    file.write_text(f"sso:\n  providers:\n    - {text}\n")
    return load_settings(file).sso.providers[0]


@pytest.mark.parametrize("name", ["authentik", "entra", "generic", "google", "keycloak", "okta"])
def test_every_profile_is_made_of_settings_that_mean_something(name: str, tmp_path: Path) -> None:
    assert name in profile_names()
    provider = _provider(tmp_path, f"{{id: x, profile: {name}}}")
    assert provider.name
    claims = provider.claims
    for chain in (claims.localpart, claims.display_name, claims.avatar, claims.email, claims.groups):
        for entry in chain:
            check_entry(entry)


def test_what_the_administrator_writes_overrules_the_profile(tmp_path: Path) -> None:
    provider = _provider(tmp_path, "{id: x, profile: keycloak, name: Our house, claims: {email: [mail]}}")
    assert (provider.name, provider.claims.email) == ("Our house", ("mail",))
    assert provider.claims.groups == ("groups", "realm_access.roles"), "the rest of the section stays"


def test_an_unknown_profile_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 3.*did you mean keycloak"):
        _provider(tmp_path, "{id: x, profile: keyclock}")


def test_the_defaults_are_those_of_the_product() -> None:
    claims, mapping = ClaimSettings(), AttributeMapping()
    assert (claims.display_name, claims.avatar) == (mapping.display_name, mapping.avatar)
    assert (claims.localpart, claims.email, claims.groups) == (mapping.localpart, mapping.email, mapping.groups)
