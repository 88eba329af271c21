"""Alice signs in to an application by OAuth; Mallory tries to."""

from __future__ import annotations

import pytest

from tests.cast import PASSWORD, Server
from tests.oauth_client import OAuthClient, browser_of, query_of, register_client, with_token


async def test_alice_signs_in_to_an_application(server: Server) -> None:
    await server.register("alice")
    app = await register_client(server)
    tokens = await app.sign_in(browser_of(server), "alice")
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    assert tokens["scope"] == app.scope
    client = with_token(server, tokens["access_token"])
    whoami = await client.get("account/whoami")
    assert (whoami["user_id"], whoami["device_id"]) == ("@alice:test", "PHONEPHONE")
    devices = (await client.get("devices"))["devices"]
    assert {each["device_id"]: each.get("display_name") for each in devices}["PHONEPHONE"] == "Chatter"


async def test_she_is_asked_every_time_but_signs_in_once(server: Server) -> None:
    await server.register("alice")
    browser = browser_of(server)
    await (await register_client(server)).sign_in(browser, "alice")
    other = await register_client(server, client_name="Other & <b>Sons</b>")
    page = await other.send_to(browser)
    assert "Allow Other &amp; &lt;b&gt;Sons&lt;/b&gt; to use your account?" in page.text
    assert "@alice:test" in page.text
    assert "form-action 'self' https://app.example.com;" in page.headers["Content-Security-Policy"]
    assert "code" in other.answer(await browser.send(page, "Allow"))


async def test_she_may_say_no(server: Server) -> None:
    await server.register("alice")
    browser, app = browser_of(server), await register_client(server)
    page = await browser.send(await app.send_to(browser), "Sign in", user="alice", password=PASSWORD)
    answer = app.answer(await browser.send(page, "Deny"))
    assert answer["error"] == "access_denied"
    # What she has decided is decided.
    assert (await browser.send(page, "Allow")).status == 404


async def test_the_answer_may_be_in_the_query(server: Server) -> None:
    await server.register("alice")
    browser, app = browser_of(server), await register_client(server)
    page = await app.send_to(browser, response_mode="query")
    page = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    left_for = (await browser.send(page, "Allow")).left_for
    assert left_for is not None
    answer = query_of(left_for)
    assert (await app.redeem(answer["code"])).status == 200


async def test_the_scopes_of_before_the_specification(server: Server) -> None:
    await server.register("alice")
    browser, app = browser_of(server), await register_client(server)
    old = "urn:matrix:org.matrix.msc2967.client:"
    page = await app.send_to(browser, scope=f"openid {old}api:* {old}device:OLDDEVICE1")
    page = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    tokens = (await app.redeem(app.answer(await browser.send(page, "Allow"))["code"])).json()
    assert tokens["scope"] == f"{old}api:* {old}device:OLDDEVICE1"
    assert (await with_token(server, tokens["access_token"]).get("account/whoami"))["device_id"] == "OLDDEVICE1"


async def test_a_native_application_waits_at_any_port_of_its_machine(server: Server) -> None:
    await server.register("alice")
    app = await register_client(server, application_type="native", redirect_uris=["http://127.0.0.1/back"])
    app.redirect_uri = "http://127.0.0.1:54321/back"
    await app.sign_in(browser_of(server), "alice")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"scope": "urn:matrix:client:api:*"}, "invalid_scope"),
        ({"scope": "urn:matrix:client:device:ABCDEFGH"}, "invalid_scope"),
        ({"scope": "urn:matrix:client:api:* urn:matrix:client:device:A urn:matrix:client:device:B"}, "invalid_scope"),
        ({"scope": "urn:matrix:client:api:* urn:matrix:client:device:"}, "invalid_scope"),
        ({"prompt": "none"}, "interaction_required"),
    ],
)
async def test_what_is_wrong_is_told_to_the_client(server: Server, change: dict[str, str], error: str) -> None:
    app = await register_client(server)
    assert app.answer(await app.send_to(browser_of(server), **change))["error"] == error


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "vcc_nobody"},
        {"client_id": ""},
        {"redirect_uri": ""},
        {"redirect_uri": "https://mallory.example/callback"},
        {"redirect_uri": "https://app.example.com/callback/../elsewhere"},
        {"redirect_uri": "https://app.example.com/callback?next=https://mallory.example"},
        {"redirect_uri": "https://app.example.com:8443/callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"response_mode": "form_post"},
        {"state": "s" * 5000},
    ],
)
async def test_nobody_is_sent_to_an_address_that_was_not_registered(server: Server, change: dict[str, str]) -> None:
    app = await register_client(server)
    page = await app.send_to(browser_of(server), **change)
    assert page.left_for is None
    assert page.status in (400, 401)


async def test_a_parameter_that_is_there_twice(server: Server) -> None:
    app = await register_client(server)
    page = await browser_of(server).open("/_voicechat/oauth2/authorize?client_id=a&client_id=" + app.client_id)
    assert page.status == 400


class TestCodes:
    """What Mallory does with a code that he has seen."""

    @pytest.fixture
    async def app(self, server: Server) -> OAuthClient:
        await server.register("alice")
        return await register_client(server)

    async def test_it_is_worth_nothing_without_its_verifier(self, server: Server, app: OAuthClient) -> None:
        code = await app.authorize(browser_of(server), "alice")
        for verifier in ("A" * 43, "short", app.verifier + "x"):
            answer = await app.redeem(code, code_verifier=verifier)
            assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")
        assert (await app.redeem(code, code_verifier="")).json()["error"] == "invalid_request"
        assert (await app.redeem(code)).status == 200

    async def test_it_is_for_one_client_and_one_address(self, server: Server, app: OAuthClient) -> None:
        code = await app.authorize(browser_of(server), "alice")
        other = await register_client(server, client_name="Mallory")
        assert (await app.redeem(code, client_id=other.client_id)).json()["error"] == "invalid_grant"
        assert (await app.redeem(code, redirect_uri="https://example.com/")).json()["error"] == "invalid_grant"

    async def test_it_is_good_for_a_minute(self, server: Server, app: OAuthClient) -> None:
        code = await app.authorize(browser_of(server), "alice")
        server.clock.advance(minutes=1)
        assert (await app.redeem(code)).json()["error"] == "invalid_grant"

    async def test_used_again_it_ends_what_came_of_it(self, server: Server, app: OAuthClient) -> None:
        code = await app.authorize(browser_of(server), "alice")
        tokens = (await app.redeem(code)).json()
        client = with_token(server, tokens["access_token"])
        await client.get("account/whoami")
        assert (await app.redeem(code)).json()["error"] == "invalid_grant"
        await client.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
        assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"

    async def test_it_ends_with_the_account(self, server: Server, app: OAuthClient) -> None:
        alice = await server.anonymous().login("alice", PASSWORD)
        code = await app.authorize(browser_of(server), "alice")
        await alice.post("account/deactivate", {"auth": alice.password_auth()})
        assert (await app.redeem(code)).json()["error"] == "invalid_grant"


async def test_nobody_agrees_for_another(server: Server) -> None:
    """Mallory begins, and makes Alice, who is signed in, press the button."""
    await server.register("alice")
    await server.register("mallory")
    app = await register_client(server)
    alice, mallory = browser_of(server), browser_of(server)
    await app.sign_in(alice, "alice")
    page = await mallory.send(await app.send_to(mallory), "Sign in", user="mallory", password=PASSWORD)
    form = page.form("Allow")
    assert (await alice.post(form.action, form.fields)).status == 404
    own = await app.send_to(alice)
    assert (await alice.send(own, "Allow", csrf=form.fields["csrf"])).status == 403


async def test_the_device_is_no_key_of_hers(server: Server) -> None:
    alice = await server.register("alice")
    key = "nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk"
    master = {"user_id": "@alice:test", "usage": ["master"], "keys": {f"ed25519:{key}": key}}
    await alice.post("keys/device_signing/upload", {"master_key": master})
    app = await register_client(server)
    app.device_id = key
    answer = await app.redeem(await app.authorize(browser_of(server), "alice"))
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_token_request_that_is_none(server: Server) -> None:
    app = await register_client(server)
    for form, error in (
        ({}, "invalid_request"),
        ({"grant_type": "password", "client_id": app.client_id}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "client_id": app.client_id, "code": "x"}, "invalid_request"),
        ({"grant_type": "authorization_code", "client_id": "nobody", "code": "x"}, "invalid_client"),
    ):
        answer = await app.post("token", **form)
        assert answer.json()["error"] == error
    twice = await server.anonymous().raw(
        "POST", "/_voicechat/oauth2/token", data=b"grant_type=a&grant_type=b", check=False
    )
    assert twice.json()["error"] == "invalid_request"
    not_ascii = await server.anonymous().raw("POST", "/_voicechat/oauth2/token", data=b"\xff\xfe", check=False)
    assert not_ascii.json()["error"] == "invalid_request"
