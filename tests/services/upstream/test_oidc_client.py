"""Alice signs in with a provider, and Mallory plays with everything that passes through a browser."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from joserfc import jwk, jwt

from homeserver.federation import provider_web
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.connections import Connections
from homeserver.federation.provider_web import GuardedProviderWeb
from homeserver.protocol.errors import BadGateway, Forbidden, MatrixError, Unavailable
from homeserver.services.upstream.oidc import OidcClient
from homeserver.services.upstream.provider import OidcProvider, Provider
from homeserver.services.upstream.secrets import FlowSecrets
from tests.clock import FakeClock
from tests.dns import FakeDns
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProviderPlayed, oidc_provider

CALLBACK = "https://chat.example/_voicechat/sign-in/oidc/example/callback"


@pytest.fixture
async def provider(clock: FakeClock) -> AsyncIterator[OidcProviderPlayed]:
    async with oidc_provider(lambda: clock.now_ms() / 1000) as played:
        yield played


@pytest.fixture
async def client(provider: OidcProviderPlayed, clock: FakeClock) -> AsyncIterator[OidcClient]:
    connections = Connections(FakeDns(), AddressGuard([]))
    settings = OidcProvider(Provider("example", "Example"), provider.issuer, CLIENT_ID, CLIENT_SECRET)
    yield OidcClient(settings, CALLBACK, GuardedProviderWeb(connections), clock, allow_http=True)
    await connections.close()


async def _come_back(client: OidcClient, provider: OidcProviderPlayed, secrets: FlowSecrets) -> dict[str, str]:
    """What the browser brings back."""
    back = provider.authorize(await client.authorization_url(secrets))
    return {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}


async def _sign_in(client: OidcClient, provider: OidcProviderPlayed) -> Any:
    secrets = FlowSecrets.new("the cookie of Alice")
    back = await _come_back(client, provider, secrets)
    return await client.redeem(secrets, back["code"], back.get("iss"))


async def test_alice_signs_in(client: OidcClient, provider: OidcProviderPlayed) -> None:
    provider.userinfo = {"groups": ["staff"], "email": "alice@example.org", "email_verified": True}
    provider.sid = "session 1"
    proved = await _sign_in(client, provider)
    assert proved.sid == "session 1"
    assert (proved.person.external_id, proved.person.localpart) == ("alice-1", "alice")
    assert (proved.person.groups, proved.person.email) == (("staff",), "alice@example.org")


async def test_metadata_and_keys_are_asked_for_once_an_hour(
    client: OidcClient, provider: OidcProviderPlayed, clock: FakeClock
) -> None:
    await _sign_in(client, provider)
    await _sign_in(client, provider)
    assert provider.asked.count("/jwks") == provider.asked.count("/.well-known/openid-configuration") == 1
    clock.advance(hours=1)
    await _sign_in(client, provider)
    assert provider.asked.count("/jwks") == provider.asked.count("/.well-known/openid-configuration") == 2


async def test_new_keys_of_the_provider_are_found_at_once(
    client: OidcClient, provider: OidcProviderPlayed, clock: FakeClock
) -> None:
    await _sign_in(client, provider)
    provider.rotate_keys()
    clock.advance(minutes=1)
    await _sign_in(client, provider)
    assert provider.asked.count("/jwks") == 2


async def test_tokens_with_made_up_keys_do_not_make_us_ask_again_and_again(
    client: OidcClient, provider: OidcProviderPlayed
) -> None:
    strange = jwk.ECKey.generate_key("P-256", {"kid": "made up"}, private=True)
    provider.tampered["tokens"] = lambda tokens: {
        **tokens, "id_token": jwt.encode({"alg": "ES256", "kid": "made up"}, {"sub": "1"}, strange),
    }  # fmt: skip
    for _ in range(5):
        with pytest.raises(Forbidden):
            await _sign_in(client, provider)
    assert provider.asked.count("/jwks") == 1


async def test_ten_thousand_groups_are_no_problem(client: OidcClient, provider: OidcProviderPlayed) -> None:
    many = tuple(f"group {number:05} of the whole enterprise" for number in range(10_000))
    provider.tampered["id_token"] = lambda claims: {**claims, "groups": list(many)}
    assert (await _sign_in(client, provider)).person.groups == many


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another client"]},
        {"aud": [CLIENT_ID], "azp": "another client"},
        {"aud": []},
        {"exp": 1_600_000_000},
        {"exp": "tomorrow"},
        {"exp": None},
        {"iat": 1_900_000_000},
        {"nbf": 1_900_000_000},
        {"sub": ""},
        {"sub": 17},
        {"sub": "x" * 256},
        {"sub": None},
        {"at_hash": "AAAA"},
    ],
)
async def test_an_id_token_that_says_something_else_is_not_believed(
    client: OidcClient, provider: OidcProviderPlayed, lie: dict[str, Any]
) -> None:
    provider.tampered["id_token"] = lambda claims: {
        name: value for name, value in {**claims, **lie}.items() if value is not None
    }
    with pytest.raises(Forbidden):
        await _sign_in(client, provider)


def _unsigned(token: str, algorithm: str) -> str:
    _, payload, _ = token.split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
    return f"{header}.{payload}."


async def test_a_token_without_a_signature_is_not_believed(client: OidcClient, provider: OidcProviderPlayed) -> None:
    for algorithm in ("none", "None", "NONE", "ES256"):
        provider.tampered["tokens"] = lambda tokens, name=algorithm: {  # type: ignore[misc]
            **tokens, "id_token": _unsigned(tokens["id_token"], name),
        }  # fmt: skip
        with pytest.raises(Forbidden):
            await _sign_in(client, provider)


async def test_a_public_key_is_no_secret_to_sign_with(client: OidcClient, provider: OidcProviderPlayed) -> None:
    """RFC 8725 section 2.1: the key of the provider, taken as that of an HMAC."""

    def confuse(tokens: dict[str, Any]) -> dict[str, Any]:
        _, payload, _ = tokens["id_token"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        public = jwk.OctKey.import_key(CLIENT_SECRET)
        return {**tokens, "id_token": jwt.encode({"alg": "HS256"}, claims, public)}

    provider.tampered["tokens"] = confuse
    with pytest.raises(Forbidden, match="not allowed"):
        await _sign_in(client, provider)


async def test_a_payload_that_was_changed_after_signing_is_not_believed(
    client: OidcClient, provider: OidcProviderPlayed
) -> None:
    def swap(tokens: dict[str, Any]) -> dict[str, Any]:
        header, payload, signature = tokens["id_token"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"sub": "bob-1"}
        forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return {**tokens, "id_token": f"{header}.{forged}.{signature}"}

    provider.tampered["tokens"] = swap
    with pytest.raises(Forbidden, match="signature"):
        await _sign_in(client, provider)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "....", "x" * 2_000_000, None, 5, "é.é.é"])
async def test_what_is_no_token_is_not_believed(
    client: OidcClient, provider: OidcProviderPlayed, token: object
) -> None:
    provider.tampered["tokens"] = lambda tokens: {**tokens, "id_token": token}
    with pytest.raises(MatrixError) as refused:
        await _sign_in(client, provider)
    assert refused.value.status < 500 or isinstance(refused.value, BadGateway | Unavailable)


async def test_userinfo_about_somebody_else_is_not_believed(client: OidcClient, provider: OidcProviderPlayed) -> None:
    provider.tampered["userinfo"] = lambda claims: {**claims, "sub": "bob-1"}
    with pytest.raises(Forbidden, match="two different people"):
        await _sign_in(client, provider)


async def test_userinfo_does_not_overrule_what_was_signed(client: OidcClient, provider: OidcProviderPlayed) -> None:
    provider.tampered["id_token"] = lambda claims: {**claims, "groups": ["staff"]}
    provider.tampered["userinfo"] = lambda claims: {**claims, "groups": ["admins"], "sid": "another", "iss": "x"}
    proved = await _sign_in(client, provider)
    assert proved.person.groups == ("staff",)
    assert proved.sid is None


async def test_an_answer_of_another_provider_is_not_taken(client: OidcClient, provider: OidcProviderPlayed) -> None:
    """The mix-up attack of RFC 9207."""
    secrets = FlowSecrets.new("the cookie of Alice")
    back = await _come_back(client, provider, secrets)
    for issuer in ("https://mallory.example", "", None):
        with pytest.raises(Forbidden, match="another provider"):
            await client.redeem(secrets, back["code"], issuer)
    assert "/token" not in provider.asked, "the code went nowhere"


async def test_a_code_works_once_and_only_with_the_browser_that_asked_for_it(
    client: OidcClient, provider: OidcProviderPlayed
) -> None:
    secrets = FlowSecrets.new("the cookie of Alice")
    back = await _come_back(client, provider, secrets)
    mallory = FlowSecrets(secrets.state, "the cookie of Mallory")
    with pytest.raises(Forbidden):
        await client.redeem(mallory, back["code"], back["iss"])
    back = await _come_back(client, provider, secrets)
    await client.redeem(secrets, back["code"], back["iss"])
    with pytest.raises(Forbidden):
        await client.redeem(secrets, back["code"], back["iss"])


async def test_nothing_that_is_asked_of_the_provider_says_the_cookie_or_the_verifier(
    client: OidcClient, provider: OidcProviderPlayed
) -> None:
    secrets = FlowSecrets.new("the cookie of Alice")
    asked = await client.authorization_url(secrets)
    assert secrets.verifier not in asked
    assert "cookie" not in asked
    assert secrets.state in asked
    assert secrets.nonce in asked
    assert secrets.challenge in asked
    assert len({secrets.state, secrets.nonce, secrets.verifier, secrets.challenge}) == 4


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://elsewhere.example"},
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint": "ftp://elsewhere.example/token"},
        {"token_endpoint": "https://user:password@elsewhere.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://a b"},
        {"jwks_uri": None},
        {"userinfo_endpoint": 7},
    ],
)
async def test_a_provider_that_describes_itself_wrongly_is_not_used(
    client: OidcClient, provider: OidcProviderPlayed, lie: dict[str, Any]
) -> None:
    provider.tampered["metadata"] = lambda document: {**document, **lie}
    with pytest.raises(BadGateway):
        await client.authorization_url(FlowSecrets.new("cookie"))


async def test_without_tls_a_provider_is_not_used_but_in_tests(
    client: OidcClient, provider: OidcProviderPlayed
) -> None:
    client.allow_http = False
    with pytest.raises(BadGateway):
        await client.authorization_url(FlowSecrets.new("cookie"))


async def test_a_provider_that_fails_says_so_and_works_again_afterwards(
    client: OidcClient, provider: OidcProviderPlayed, clock: FakeClock
) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="down for maintenance")

    async def babble(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>welcome</html>")

    for path in ("/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"):
        for says in (fail, babble):
            provider.answers[path] = says
            with pytest.raises((Unavailable, BadGateway)):
                await _sign_in(client, provider)
            clock.advance(seconds=3)
        del provider.answers[path]
    await _sign_in(client, provider)


async def test_who_waits_for_a_provider_that_is_down_is_told_with_all_others(
    client: OidcClient, provider: OidcProviderPlayed
) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    provider.answers["/.well-known/openid-configuration"] = fail
    told = await asyncio.gather(
        *(client.authorization_url(FlowSecrets.new("cookie")) for _ in range(20)), return_exceptions=True
    )
    assert {type(each) for each in told} == {Unavailable}
    assert len(provider.asked) == 1


async def test_nobody_waits_long_for_a_provider_that_is_slow_or_talks_without_end(
    client: OidcClient, provider: OidcProviderPlayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def sleep(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async def pour(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b" " * (provider_web.MAX_BYTES + 1))

    monkeypatch.setattr(provider_web, "TIMEOUT_S", 0.2)
    for says in (sleep, pour):
        provider.answers["/token"] = says
        with pytest.raises(Unavailable):
            await _sign_in(client, provider)
    released.set()


async def test_a_logout_token_says_who_is_signed_out(client: OidcClient, provider: OidcProviderPlayed) -> None:
    claims = await client.signed_out(provider.logout_token(sub="alice-1", sid="session 1"))
    assert (claims["sub"], claims["sid"]) == ("alice-1", "session 1")


@pytest.mark.parametrize(
    "lie",
    [
        {"sub": "alice-1", "nonce": "n"},
        {"sub": "alice-1", "events": None},
        {"sub": "alice-1", "events": {"something else": {}}},
        {"sub": "alice-1", "jti": None},
        {},
        {"sub": "alice-1", "aud": "another"},
        {"sub": "alice-1", "exp": 1_600_000_000},
    ],
)
async def test_a_logout_token_that_is_none_ends_nothing(
    client: OidcClient, provider: OidcProviderPlayed, lie: dict[str, Any]
) -> None:
    with pytest.raises(Forbidden):
        await client.signed_out(provider.logout_token(**lie))
