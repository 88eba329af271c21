"""Clients register themselves, and find everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cast import Answer, Server
from tests.oauth_client import METADATA, register_client


async def register(server: Server, metadata: Any) -> Answer:
    return await server.anonymous().raw(
        "POST", "/_voicechat/oauth2/register", data=json.dumps(metadata).encode(), check=False
    )


async def test_a_client_registers_and_hears_what_was_kept(server: Server) -> None:
    answer = await register(
        server, {**METADATA, "client_name#fr": "Causeur", "grant_types": ["authorization_code", "x"]}
    )
    kept = answer.json()
    assert answer.status == 201
    assert kept.pop("client_id").startswith("vcc_")
    assert kept == {**METADATA, "grant_types": ["authorization_code"]}


async def test_the_same_client_is_registered_once(server: Server) -> None:
    first, second = await register_client(server), await register_client(server)
    other = await register_client(server, client_name="Other")
    assert first.client_id == second.client_id != other.client_id


@pytest.mark.parametrize(
    ("application_type", "uri"),
    [
        ("web", "https://example.com/callback"),
        ("web", "https://app.example.com/callback"),
        ("web", "https://example.com:5173/?query=value"),
        ("native", "com.example.app:/callback"),
        ("native", "com.example:/"),
        ("native", "com.example:callback"),
        ("native", "http://localhost/callback"),
        ("native", "http://127.0.0.1/callback"),
        ("native", "http://[::1]/callback"),
        ("native", "https://example.com/callback"),
    ],
)
async def test_redirect_uris_that_the_specification_allows(server: Server, application_type: str, uri: str) -> None:
    answer = await register(server, {**METADATA, "application_type": application_type, "redirect_uris": [uri]})
    assert answer.status == 201, answer.body


@pytest.mark.parametrize(
    ("application_type", "uri"),
    [
        ("web", "https://example.com/callback#fragment"),
        ("web", "https://example.com/callback#"),
        ("web", "http://example.com/callback"),
        ("web", "http://localhost/"),
        ("web", "https://app.com/callback"),
        ("web", "https://notexample.com/callback"),
        ("web", "https://example.com.mallory.net/"),
        ("web", "https://user:pass@example.com/callback"),
        ("web", "https://example.com@mallory.net/callback"),
        ("web", "https://mallory.net\\@example.com/"),
        ("web", "https://example.com;script-src/"),
        ("web", "/callback"),
        ("web", "com.example.app:/callback"),
        ("native", "example:/callback"),
        ("native", "com.example.app://callback"),
        ("native", "com.example.app:///callback"),
        ("native", "https://localhost/callback"),
        ("native", "http://localhost:1234/callback"),
        ("native", "http://user@localhost/callback"),
        ("native", "javascript:alert(1)"),
        ("native", "com.examples:/"),
        ("native", "com.example.app:/a\nb"),
        ("native", "com.example.app:/" + "a" * 3000),
    ],
)
async def test_redirect_uris_that_it_does_not_allow(server: Server, application_type: str, uri: str) -> None:
    answer = await register(server, {**METADATA, "application_type": application_type, "redirect_uris": [uri]})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "change",
    [
        {"client_uri": None},
        {"client_uri": "http://example.com/"},
        {"client_uri": "https://user@example.com/"},
        {"client_uri": 5},
        {"client_name": ["x"]},
        {"client_name": "x" * 200},
        {"client_name": "a\nb"},
        {"client_name": "\u202egnp.exe"},
        {"redirect_uris": "https://example.com/"},
        {"redirect_uris": [5]},
        {"redirect_uris": ["https://example.com/"] * 21},
        {"tos_uri": "https://elsewhere.org/tos"},
        {"policy_uri": "javascript:alert(1)"},
        {"logo_uri": "http://example.com/logo.png"},
        {"grant_types": ["password"]},
        {"grant_types": ["refresh_token"]},
        {"response_types": ["token"]},
    ],
)
async def test_metadata_that_is_refused(server: Server, change: dict[str, Any]) -> None:
    answer = await register(server, {**METADATA, **change})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_client_metadata")


async def test_a_code_flow_needs_somewhere_to_come_back_to(server: Server) -> None:
    answer = await register(server, {**METADATA, "redirect_uris": []})
    assert answer.json()["error"] == "invalid_redirect_uri"
    device = ["urn:ietf:params:oauth:grant-type:device_code"]
    assert (await register(server, {"client_uri": "https://example.com", "grant_types": device})).status == 201


async def test_clients_find_everything(server: Server) -> None:
    nobody = server.anonymous()
    metadata = await nobody.get("/_matrix/client/v1/auth_metadata")
    assert metadata["issuer"] == "http://localhost:8008/"
    assert metadata["token_endpoint"] == "http://localhost:8008/_voicechat/oauth2/token"
    assert metadata == await nobody.get("/_matrix/client/unstable/org.matrix.msc2965/auth_metadata")
    assert metadata == await nobody.get("/.well-known/oauth-authorization-server")
    issuer = await nobody.get("/_matrix/client/unstable/org.matrix.msc2965/auth_issuer")
    assert issuer == {"issuer": metadata["issuer"]}
