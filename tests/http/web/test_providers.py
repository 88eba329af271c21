"""People sign in with a provider: from their client through the browser, and back with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web as aioweb

from config.settings import OidcProviderSettings, OutgoingHttpSettings, Settings, SsoSettings
from tests.browser import Browser, Page
from tests.cast import PASSWORD, Client, Server
from tests.clock import FakeClock
from tests.homeserver import server_settings
from tests.oauth_client import register_client, with_token
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProviderPlayed, oidc_provider

APP = "https://app.example/#/sso"
OURS = "http://localhost:8008"


@pytest.fixture
async def provider(clock: FakeClock) -> AsyncIterator[OidcProviderPlayed]:
    async with oidc_provider(lambda: clock.now_ms() / 1000) as played:
        yield played


@pytest.fixture
def policy() -> dict[str, Any]:
    """Of the provider; a test overrides it by parameters."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, provider: OidcProviderPlayed, policy: dict[str, Any]) -> Settings:
    common = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    example = OidcProviderSettings(
        id="example", name="Example Inc.", brand="github", issuer=provider.issuer, **common, **policy
    )
    other = OidcProviderSettings(id="other", name="Other", issuer="http://127.0.0.1:9", **common)
    return server_settings(
        tmp_path,
        sso=SsoSettings(providers=(example, other), trusted_clients=("https://trusted.example/app",)),
        outgoing_http=OutgoingHttpSettings(verify_tls=False, ip_denylist=()),
    )


def browser_of(server: Server) -> Browser:
    return Browser(server.session, server.base_url)


async def go(browser: Browser, provider: OidcProviderPlayed, redirect_url: str = APP) -> Page:
    """From the client to the provider and back; the page after that."""
    away = await browser.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=redirect_url)
    assert away.left_for is not None, away.text
    return await browser.open(provider.authorize(away.left_for))


def token_in(page: Page) -> str:
    """The login token in the link to the client."""
    found = page.text.partition("loginToken=")[2]
    assert found, page.text
    return found.partition('"')[0].partition("#")[0]


async def log_in(server: Server, token: str, **more: Any) -> Client:
    answer = await server.anonymous().post("login", {"type": "m.login.token", "token": token, **more})
    return server.anonymous()._logged_in(answer, PASSWORD)


async def sign_in(server: Server, provider: OidcProviderPlayed, browser: Browser | None = None) -> Client:
    return await log_in(server, token_in(await go(browser or browser_of(server), provider)))


async def test_clients_are_told_of_the_providers(server: Server) -> None:
    flows = (await server.anonymous().get("login"))["flows"]
    sso = next(flow for flow in flows if flow["type"] == "m.login.sso")
    assert sso["identity_providers"] == [
        {"id": "example", "name": "Example Inc.", "brand": "github"},
        {"id": "other", "name": "Other"},
    ]


async def test_alice_gets_an_account_with_her_name_and_address(server: Server, provider: OidcProviderPlayed) -> None:
    provider.person = {
        "sub": "1", "preferred_username": "Alice", "email": "alice@example.org", "email_verified": True, "groups": ["staff"],
    }  # fmt: skip
    seen: list[tuple[str, str, Any]] = []

    async def note(user_id: str, provider_id: str, groups: Any) -> None:
        seen.append((user_id, provider_id, groups))

    server.application.providers.sign_in.on_signed_in.append(note)
    page = await go(browser_of(server), provider)
    assert "Continue to app.example?" in page.text
    assert "@alice:test" in page.text
    alice = await log_in(server, token_in(page), initial_device_display_name="Alice's phone")
    assert alice.user_id == "@alice:test"
    assert (await alice.get(("profile", alice.user_id)))["displayname"] == "Alice"
    threepids = (await alice.get("account/3pid"))["threepids"]
    assert [each["address"] for each in threepids] == ["alice@example.org"]
    assert seen == [("@alice:test", "example", ("staff",))]


async def test_alice_comes_again_and_has_the_same_account_whatever_she_is_called_now(
    server: Server, provider: OidcProviderPlayed
) -> None:
    assert (await sign_in(server, provider)).user_id == "@alice:test"
    provider.person = {"sub": "alice-1", "preferred_username": "alicia"}
    assert (await sign_in(server, provider)).user_id == "@alice:test"


async def test_the_picture_of_the_provider_becomes_the_avatar(server: Server, provider: OidcProviderPlayed) -> None:
    async def picture(request: aioweb.Request) -> aioweb.StreamResponse:
        return aioweb.Response(body=b"\x89PNG picture of Alice", content_type="image/png")

    provider.answers["/alice.png"] = picture
    provider.person["picture"] = f"{provider.issuer}/alice.png"
    alice = await sign_in(server, provider)
    avatar = (await alice.get(("profile", alice.user_id)))["avatar_url"]
    media_id = avatar.removeprefix("mxc://test/")
    answer = await alice.raw("GET", f"/_matrix/client/v1/media/download/test/{media_id}")
    assert answer.body == b"\x89PNG picture of Alice"


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml"])
async def test_what_is_no_picture_is_no_avatar(server: Server, provider: OidcProviderPlayed, kind: str) -> None:
    async def script(request: aioweb.Request) -> aioweb.StreamResponse:
        return aioweb.Response(body=b"<script>alert(1)</script>", content_type=kind)

    provider.answers["/evil"] = script
    provider.person["picture"] = f"{provider.issuer}/evil"
    alice = await sign_in(server, provider)
    assert "avatar_url" not in await alice.get(("profile", alice.user_id))


async def test_a_login_token_works_once_and_for_a_minute(
    server: Server, provider: OidcProviderPlayed, clock: FakeClock
) -> None:
    token = token_in(await go(browser_of(server), provider))
    await log_in(server, token)
    await server.anonymous().post("login", {"type": "m.login.token", "token": token}, expect=(403, "M_FORBIDDEN"))
    token = token_in(await go(browser_of(server), provider))
    clock.advance(minutes=1)
    await server.anonymous().post("login", {"type": "m.login.token", "token": token}, expect=(403, "M_FORBIDDEN"))


# --- Where the browser is sent ------------------------------------------------------------------------------------


async def test_a_trusted_client_is_gone_back_to_at_once(server: Server, provider: OidcProviderPlayed) -> None:
    page = await go(browser_of(server), provider, "https://trusted.example/app/?loginToken=old&a=b%20c#frag")
    target = page.headers["Refresh"].removeprefix("0; url=")
    assert target.startswith("https://trusted.example/app/?a=b%20c&loginToken=vclt_")
    assert target.endswith("#frag")


OTHER_CLIENTS = (
    "https://trusted.example.evil.example/app",
    "https://trusted.example/apple",
    "https://trusted.example/app/../elsewhere",
    "http://trusted.example/app",
    "https://trusted.example:8443/app",
    "element://connect",
)


async def test_about_every_other_client_people_are_asked(server: Server, provider: OidcProviderPlayed) -> None:
    for url in OTHER_CLIENTS:
        page = await go(browser_of(server), provider, url)
        assert "Refresh" not in page.headers, url
        assert "Continue to " in page.text


NO_CLIENTS = (
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "//evil.example",
    "/relative",
    "",
    "https://trusted.example@evil.example/",
    "https://a\\@trusted.example/",
    "https://trusted.example/app\r\nSet-Cookie: a=b",
    "https://trusted.example/" + "a" * 5000,
    "https:///nowhere",
    'https://x/"onclick="',
)


async def test_an_address_that_is_no_clients_is_refused_before_anything_else(server: Server) -> None:
    for url in NO_CLIENTS:
        answer = await server.anonymous().raw(
            "GET", "/_matrix/client/v3/login/sso/redirect/example", query={"redirectUrl": url}
        )
        assert answer.status == 400, url


async def test_without_an_address_or_with_an_unknown_provider_nobody_goes_anywhere(server: Server) -> None:
    nobody = server.anonymous()
    await nobody.get("login/sso/redirect", expect=(400, "M_MISSING_PARAM"))
    await nobody.get("login/sso/redirect/nobody", redirectUrl=APP, expect=(404, "M_NOT_FOUND"))


async def test_without_a_choice_people_choose_on_the_sign_in_page(server: Server, provider: OidcProviderPlayed) -> None:
    browser = browser_of(server)
    page = await browser.open("/_matrix/client/v3/login/sso/redirect", redirectUrl=APP)
    assert "Continue with Example Inc." in page.text
    assert "Continue with Other" in page.text
    start = page.text.partition('href="/_voicechat/sign-in/provider/example')[2].partition('"')[0]
    away = await browser.open("/_voicechat/sign-in/provider/example" + start)
    assert away.left_for is not None
    back = await browser.open(provider.authorize(away.left_for))
    assert (await log_in(server, token_in(back))).user_id == "@alice:test"


async def test_with_her_password_alice_gets_a_token_too(server: Server) -> None:
    await server.register("alice")
    browser = browser_of(server)
    page = await browser.open("/_matrix/client/v3/login/sso/redirect", redirectUrl=APP)
    done = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    assert (await log_in(server, token_in(done))).user_id == "@alice:test"


# --- Mallory ------------------------------------------------------------------------------------------------------


async def test_an_answer_that_was_not_asked_for_in_this_browser_signs_nobody_in(
    server: Server, provider: OidcProviderPlayed
) -> None:
    """Mallory signs in as himself, and makes Alice's browser bring the answer (login CSRF)."""
    mallory, alice = browser_of(server), browser_of(server)
    away = await mallory.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=APP)
    assert away.left_for is not None
    answer = provider.authorize(away.left_for)
    assert (await alice.open(answer)).status == 403
    await alice.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=APP)
    assert (await alice.open(answer)).status == 403
    assert (await mallory.open(answer)).status == 200, "what Alice brought changed nothing"
    assert (await mallory.open(answer)).status == 403, "it counts once"


async def test_an_answer_that_was_changed_signs_nobody_in(server: Server, provider: OidcProviderPlayed) -> None:
    for change in ("state=x", "state=", "state=" + "x" * 200, "code=", "iss=https://evil.example"):
        browser = browser_of(server)
        away = await browser.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=APP)
        assert away.left_for is not None
        answer = urlsplit(provider.authorize(away.left_for))
        name = change.partition("=")[0]
        kept = [each for each in answer.query.split("&") if not each.startswith(f"{name}=")]
        page = await browser.open(f"{OURS}{answer.path}?{'&'.join([*kept, change])}")
        assert page.status == 403, change
        assert page.alert
        assert "loginToken" not in page.text


async def test_the_answer_of_one_provider_is_not_taken_at_the_address_of_another(
    server: Server, provider: OidcProviderPlayed
) -> None:
    browser = browser_of(server)
    away = await browser.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=APP)
    assert away.left_for is not None
    answer = provider.authorize(away.left_for).replace("/provider/example/", "/provider/other/")
    assert (await browser.open(answer)).status == 403


async def test_an_error_of_the_provider_is_told_in_our_words(server: Server, provider: OidcProviderPlayed) -> None:
    browser = browser_of(server)
    for error, said in (
        ("access_denied", "You were not signed in"),
        ("<script>", "The provider could not sign you in"),
    ):
        away = await browser.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=APP)
        assert away.left_for is not None
        state = parse_qs(urlsplit(away.left_for).query)["state"][0]
        page = await browser.open(
            "/_voicechat/sign-in/provider/example/callback", error=error, state=state, error_description="<b>evil</b>"
        )
        assert (page.status, page.alert) == (403, said)
        assert "evil" not in page.text


async def test_what_the_provider_says_of_somebody_is_shown_as_text(
    server: Server, provider: OidcProviderPlayed
) -> None:
    await server.register("x")
    provider.person = {"sub": "1", "preferred_username": "x", "name": "<script>alert(1)</script>"}
    page = await go(browser_of(server), provider)
    assert "<script>" not in page.text


async def test_a_sign_in_that_takes_too_long_begins_again(
    server: Server, provider: OidcProviderPlayed, clock: FakeClock
) -> None:
    browser = browser_of(server)
    away = await browser.open("/_matrix/client/v3/login/sso/redirect/example", redirectUrl=APP)
    assert away.left_for is not None
    clock.advance(minutes=16)
    assert (await browser.open(provider.authorize(away.left_for))).status == 403


async def test_a_provider_that_is_down_keeps_nobody_from_signing_in_with_a_password(server: Server) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    page = await browser.open("/_matrix/client/v3/login/sso/redirect", redirectUrl=APP)
    pending = page.form("Sign in").fields["pending"]
    down = await browser.open("/_voicechat/sign-in/provider/other", pending=pending)
    assert down.status == 503
    assert "cannot be reached" in down.alert
    await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    assert (await alice.login()).user_id == alice.user_id
    gone = await server.anonymous().raw(
        "GET", "/_matrix/client/v3/login/sso/redirect/other", query={"redirectUrl": APP}, check=False
    )
    assert gone.status == 503


# --- Names that are taken -----------------------------------------------------------------------------------------


async def test_a_name_that_is_taken_gives_nobody_that_account(server: Server, provider: OidcProviderPlayed) -> None:
    await server.register("alice")
    provider.person = {"sub": "m", "preferred_username": "alice", "email": "alice@example.org", "email_verified": True}
    browser = browser_of(server)
    page = await go(browser, provider)
    assert "The name alice is taken on test." in page.text
    wrong = await browser.send(page, "It is mine", user="alice", password="guess")
    assert (wrong.status, wrong.alert) == (403, "The user name or the password is not correct")
    taken = await browser.send(wrong, "Make my account", name="alice")
    assert taken.status == 400
    done = await browser.send(taken, "Make my account", name="alice.m")
    assert (await log_in(server, token_in(done))).user_id == "@alice.m:test"
    assert (await sign_in(server, provider)).user_id == "@alice.m:test"


async def test_alice_proves_that_both_are_hers(server: Server, provider: OidcProviderPlayed) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    page = await go(browser, provider)
    done = await browser.send(page, "It is mine", user="@alice:test", password=PASSWORD)
    assert (await log_in(server, token_in(done))).user_id == alice.user_id
    assert (await sign_in(server, provider)).user_id == alice.user_id
    assert (await alice.login()).user_id == alice.user_id, "her password works as before"


async def test_nobody_answers_for_somebody_elses_browser(server: Server, provider: OidcProviderPlayed) -> None:
    await server.register("alice")
    mallory = await server.register("mallory")
    alices, mallorys = browser_of(server), browser_of(server)
    page = await go(alices, provider)
    fields = page.form("It is mine").fields
    await mallorys.open("/_matrix/client/v3/login/sso/redirect", redirectUrl=APP)
    stolen = await mallorys.post(
        "/_voicechat/sign-in/which-account", {**fields, "user": mallory.user_id, "password": PASSWORD}
    )
    assert stolen.status == 404
    forged = {**fields, "csrf": "x", "user": mallory.user_id, "password": PASSWORD}
    assert (await alices.post("/_voicechat/sign-in/which-account", forged)).status == 403


async def test_a_page_of_which_account_without_anybody_who_waits_is_none(server: Server) -> None:
    browser = browser_of(server)
    page = await browser.open("/_matrix/client/v3/login/sso/redirect", redirectUrl=APP)
    pending = page.form("Sign in").fields["pending"]
    assert (await browser.open("/_voicechat/sign-in/which-account", pending=pending)).status == 404


@pytest.mark.parametrize("policy", [{"collisions": "number"}])
async def test_with_numbers_the_second_alice_is_alice2(server: Server, provider: OidcProviderPlayed) -> None:
    await server.register("alice")
    await server.register("alice3")
    names = []
    for number in range(3):
        provider.person = {"sub": f"{number}", "preferred_username": "alice"}
        names.append((await sign_in(server, provider)).user_id)
    assert names == ["@alice2:test", "@alice4:test", "@alice5:test"]
    provider.person = {"sub": "nameless"}
    assert (await sign_in(server, provider)).user_id.startswith("@example")


@pytest.mark.parametrize("policy", [{"collisions": "refuse"}])
async def test_where_taken_names_are_refused_the_second_alice_stays_outside(
    server: Server, provider: OidcProviderPlayed
) -> None:
    await server.register("alice")
    page = await go(browser_of(server), provider)
    assert page.status == 403
    assert "somebody else's" in page.alert


@pytest.mark.parametrize("policy", [{"collisions": "adopt"}])
async def test_where_the_provider_gives_out_all_names_accounts_are_adopted_but_for_administrators(
    server: Server, ada: Client, provider: OidcProviderPlayed
) -> None:
    bob = await server.register("bob")
    provider.person = {"sub": "b", "preferred_username": "bob"}
    assert (await sign_in(server, provider)).user_id == bob.user_id
    provider.person = {"sub": "a", "preferred_username": ada.user_id[1:].partition(":")[0]}
    assert (await go(browser_of(server), provider)).status == 403


@pytest.mark.parametrize("policy", [{"registers": False}])
async def test_where_nobody_gets_an_account_by_signing_in_only_known_people_come_in(
    server: Server, provider: OidcProviderPlayed
) -> None:
    await server.register("alice.l")
    browser = browser_of(server)
    page = await go(browser, provider)
    assert "I am new here" not in page.text
    assert "is taken" not in page.text
    new = await browser.post(
        "/_voicechat/sign-in/which-account/new", {**page.form("It is mine").fields, "name": "alice"}
    )
    assert (new.status, new.alert) == (403, "You have no account here, and nobody gets one by signing in")
    done = await browser.send(page, "It is mine", user="alice.l", password=PASSWORD)
    assert (await log_in(server, token_in(done))).user_id == "@alice.l:test"


@pytest.mark.parametrize("policy", [{"allowed_groups": ("/staff/Zürich",)}])
async def test_only_people_of_the_allowed_groups_come_in(server: Server, provider: OidcProviderPlayed) -> None:
    for groups in (["/staff"], [], None, "/staff/Zürich2"):
        provider.person["groups"] = groups
        assert (await go(browser_of(server), provider)).status == 403
    provider.person["groups"] = ["others", "/staff/Zürich"]
    await sign_in(server, provider)
    provider.person["groups"] = ["others"]
    assert (await go(browser_of(server), provider)).status == 403, "who has left the group stays outside"


NAMES = {
    "Zoë Ünlü": "@zo=c3=ab=20=c3=bcnl=c3=bc:test",
    "_bridge": "@=5fbridge:test",
    "a=b": "@a=3db:test",
    "../../etc": "@../../etc:test",
}


async def test_any_name_becomes_a_user_id(server: Server, provider: OidcProviderPlayed) -> None:
    for name, user_id in NAMES.items():
        provider.person = {"sub": name, "preferred_username": name}
        assert (await sign_in(server, provider)).user_id == user_id


async def test_who_has_left_stays_outside(server: Server, ada: Client, provider: OidcProviderPlayed) -> None:
    await sign_in(server, provider)
    await ada.post("/_synapse/admin/v1/deactivate/@alice:test", {"erase": True})
    page = await go(browser_of(server), provider)
    assert page.status == 403
    assert "deactivated" in page.alert


async def test_who_is_locked_is_signed_in_nowhere(server: Server, ada: Client, provider: OidcProviderPlayed) -> None:
    await sign_in(server, provider)
    await ada.put("/_matrix/client/v1/admin/lock/@alice:test", {"locked": True})
    assert (await go(browser_of(server), provider)).status == 401


async def test_an_address_that_another_account_has_stays_there(server: Server, provider: OidcProviderPlayed) -> None:
    verified = {"email": "alice@example.org", "email_verified": True}
    provider.person = {"sub": "1", "preferred_username": "alice", **verified}
    await sign_in(server, provider)
    provider.person = {"sub": "2", "preferred_username": "mallory", **verified}
    mallory = await sign_in(server, provider)
    assert (await mallory.get("account/3pid"))["threepids"] == []
    provider.person = {"sub": "3", "preferred_username": "eve", "email": "eve@example.org", "email_verified": False}
    eve = await sign_in(server, provider)
    assert (await eve.get("account/3pid"))["threepids"] == []


async def test_sign_ins_and_failures_are_in_the_audit_log(
    server: Server, ada: Client, provider: OidcProviderPlayed
) -> None:
    await sign_in(server, provider)
    provider.tampered["id_token"] = lambda claims: {**claims, "nonce": "x"}
    assert (await go(browser_of(server), provider)).status == 403
    entries = (await ada.get("/_voicechat/admin/v1/audit"))["entries"]
    actions = {entry["action"]: entry for entry in entries}
    assert actions["user.provisioned"]["details"] == {"provider": "example", "external_id": "alice-1"}
    assert actions["browser.sign_in"]["details"]["methods"] == ["sso:example"]
    assert "another sign-in" in actions["browser.sign_in_failed"]["details"]["why"]


# --- Confirmations of clients -------------------------------------------------------------------------------------


async def test_alice_confirms_with_her_provider_that_a_device_goes(
    server: Server, provider: OidcProviderPlayed
) -> None:
    alice = await sign_in(server, provider)
    other = await sign_in(server, provider)
    asked = await alice.delete(("devices", other.device_id), {}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.sso"]}], "she has no password"
    browser = browser_of(server)
    page = await browser.open("/_matrix/client/v3/auth/m.login.sso/fallback/web", session=asked["session"])
    start = page.text.partition('href="/_voicechat/sign-in/provider/example')[2].partition('"')[0]
    away = await browser.open("/_voicechat/sign-in/provider/example" + start)
    assert away.left_for is not None
    question = await browser.open(provider.authorize(away.left_for))
    assert "sign out a device" in question.text
    await alice.delete(("devices", other.device_id), {"auth": {"session": asked["session"]}}, expect=401)
    done = await browser.send(question, "Yes, confirm")
    assert "onAuthDone" in done.text
    await alice.delete(("devices", other.device_id), {"auth": {"session": asked["session"]}})
    await alice.get(("devices", other.device_id), expect=404)


async def test_somebody_else_confirms_nothing(server: Server, provider: OidcProviderPlayed) -> None:
    alice = await sign_in(server, provider)
    asked = await alice.delete(("devices", alice.device_id), {}, expect=401)
    await server.register("mallory")
    browser = browser_of(server)
    page = await browser.open("/_matrix/client/v3/auth/m.login.sso/fallback/web", session=asked["session"])
    pending = page.form("Sign in").fields
    theirs = await browser.send(page, "Sign in", user="mallory", password=PASSWORD)
    assert theirs.status == 403
    assert "This is about @alice:test" in theirs.text
    known = await server.application.web.browsers.find(browser.cookies["voicechat"])
    forged = {"pending": pending["pending"], "csrf": known.csrf}
    assert (await browser.post("/_voicechat/sign-in/confirm", forged)).status == 403
    await alice.delete(("devices", alice.device_id), {"auth": {"session": asked["session"]}}, expect=401)


async def test_who_has_a_password_and_a_provider_has_the_choice(server: Server, provider: OidcProviderPlayed) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    await browser.send(await go(browser, provider), "It is mine", user="alice", password=PASSWORD)
    asked = await alice.delete(("devices", "x"), {}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.password"]}, {"stages": ["m.login.sso"]}]
    bob = await server.register("bob")
    asked = await bob.delete(("devices", "x"), {}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.password"]}]


# --- The provider signs people out ----------------------------------------------------------------------------------


async def log_out(server: Server, token: str) -> int:
    body = f"logout_token={token}".encode()
    answer = await server.anonymous().raw(
        "POST", "/_voicechat/sign-in/provider/example/logout", data=body, check=False,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    return answer.status


async def test_what_began_with_a_session_of_the_provider_ends_with_it(
    server: Server, provider: OidcProviderPlayed
) -> None:
    provider.sid = "monday"
    browser = browser_of(server)
    phone = await sign_in(server, provider, browser)
    provider.sid = "tuesday"
    laptop = await sign_in(server, provider)
    assert await log_out(server, provider.logout_token(sub="alice-1", sid="monday")) == 200
    await phone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await laptop.get("account/whoami")
    assert await server.application.web.browsers.find(browser.cookies["voicechat"]) is None


async def test_without_a_session_everything_of_the_person_ends_and_nobody_elses(
    server: Server, provider: OidcProviderPlayed
) -> None:
    phone, laptop = await sign_in(server, provider), await sign_in(server, provider)
    provider.person = {"sub": "bob-1", "preferred_username": "bob"}
    bob = await sign_in(server, provider)
    token = provider.logout_token(sub="alice-1")
    assert await log_out(server, token) == 200
    for gone in (phone, laptop):
        await gone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await bob.get("account/whoami")
    provider.person = {"sub": "alice-1"}
    again = await sign_in(server, provider)
    assert await log_out(server, token) == 200
    await again.get("account/whoami"), "the same token once more ends nothing"


async def test_a_device_that_was_signed_in_with_a_password_stays(server: Server, provider: OidcProviderPlayed) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    await browser.send(await go(browser, provider), "It is mine", user="alice", password=PASSWORD)
    assert await log_out(server, provider.logout_token(sub="alice-1")) == 200
    await alice.get("account/whoami")


async def test_a_client_that_came_by_oauth_is_signed_out_too(server: Server, provider: OidcProviderPlayed) -> None:
    app, browser = await register_client(server), browser_of(server)
    page = await app.send_to(browser)
    start = page.text.partition('href="/_voicechat/sign-in/provider/example')[2].partition('"')[0]
    away = await browser.open("/_voicechat/sign-in/provider/example" + start)
    assert away.left_for is not None
    consent = await browser.open(provider.authorize(away.left_for))
    code = app.answer(await browser.send(consent, "Allow"))["code"]
    alice = with_token(server, (await app.redeem(code)).json()["access_token"])
    assert (await alice.get("account/whoami"))["user_id"] == "@alice:test"
    assert await log_out(server, provider.logout_token(sub="alice-1")) == 200
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_a_logout_token_that_is_none_ends_nothing(server: Server, provider: OidcProviderPlayed) -> None:
    alice = await sign_in(server, provider)
    for token in (
        "",
        "x.y.z",
        provider.logout_token(sub="alice-1", nonce="n"),
        provider.logout_token(sub="alice-1", aud="x"),
    ):
        assert await log_out(server, token) == 400
    await alice.get("account/whoami")


# --- Connected with the account ------------------------------------------------------------------------------------


async def connect(browser: Browser, provider: OidcProviderPlayed, page: Page) -> Page:
    """Press the link of the provider, and come back."""
    path = page.text.partition('href="/_voicechat/sign-in/provider/example')[2].partition('"')[0]
    away = await browser.open(f"/_voicechat/sign-in/provider/example{path}")
    assert away.left_for is not None
    return await browser.open(provider.authorize(away.left_for))


async def test_alice_connects_her_account_and_disconnects_it(
    server: Server, provider: OidcProviderPlayed, clock: FakeClock
) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    page = await browser.open("/_voicechat/account")
    page = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    assert 'href="/_voicechat/sign-in/connected"' in page.text
    page = await browser.open("/_voicechat/sign-in/connected")
    assert "<p>None.</p>" in page.text
    connected = await connect(browser, provider, page)
    assert "Example Inc. (alice-1)" in connected.text
    assert (await sign_in(server, provider)).user_id == alice.user_id
    assert "Example Inc. (alice-1)" in (await connect(browser, provider, connected)).text, "once more changes nothing"
    forged = {**connected.form("Disconnect Example Inc.").fields, "csrf": "x"}
    assert (await browser.post("/_voicechat/sign-in/connections/remove", forged)).status == 403
    assert "<p>None.</p>" in (await browser.send(connected, "Disconnect Example Inc.")).text
    assert (await browser.send(connected, "Disconnect Example Inc.")).status == 404
    clock.advance(minutes=11)
    assert "Please confirm that it is you." in (await browser.open("/_voicechat/sign-in/connected")).text


async def test_what_is_somebody_elses_is_not_connected_and_the_only_way_in_stays(
    server: Server, provider: OidcProviderPlayed
) -> None:
    browser = browser_of(server)
    await sign_in(server, provider, browser)
    page = await browser.open("/_voicechat/sign-in/connected")
    alone = await browser.send(page, "Disconnect Example Inc.")
    assert (alone.status, alone.alert) == (403, "This is the only way into your account: connect another one first")
    await server.register("mallory")
    theirs = browser_of(server)
    page = await theirs.open("/_voicechat/sign-in/connected")
    page = await theirs.send(page, "Sign in", user="mallory", password=PASSWORD)
    refused = await connect(theirs, provider, page)
    assert refused.status == 409
    assert "belongs to another account" in refused.alert


# --- What administrators see of it ----------------------------------------------------------------------------------


async def test_administrators_see_and_say_with_which_account_of_a_provider_somebody_signs_in(
    server: Server, ada: Client, provider: OidcProviderPlayed
) -> None:
    users, providers = "/_synapse/admin/v2/users", "/_synapse/admin/v1/auth_providers"
    await sign_in(server, provider)
    alice = await ada.get(f"{users}/@alice:test")
    assert alice["external_ids"] == [{"auth_provider": "example", "external_id": "alice-1"}]
    assert (await ada.get(f"{providers}/example/users/alice-1"))["user_id"] == "@alice:test"
    await ada.get(f"{providers}/other/users/alice-1", expect=(404, "M_NOT_FOUND"))

    bob = await server.register("bob")
    ids = [{"auth_provider": "example", "external_id": "bob/1"}, {"auth_provider": "other", "external_id": "b"}]
    answer = await ada.put(f"{users}/@bob:test", {"external_ids": ids})
    assert answer["external_ids"] == ids
    provider.person = {"sub": "bob/1", "preferred_username": "robert"}
    assert (await sign_in(server, provider)).user_id == bob.user_id
    await ada.put(
        f"{users}/@bob:test", {"external_ids": [{"auth_provider": "example", "external_id": "alice-1"}]}, expect=409
    )
    assert (await ada.get(f"{users}/@bob:test"))["external_ids"] == ids, "all or nothing"
    assert (await ada.put(f"{users}/@bob:test", {"displayname": "Bob"}))["external_ids"] == ids
    assert (await ada.put(f"{users}/@bob:test", {"external_ids": []}))["external_ids"] == []
    for wrong in ([{"auth_provider": "", "external_id": "x"}], [{"auth_provider": "a", "external_id": "x" * 256}]):
        await ada.put(f"{users}/@bob:test", {"external_ids": wrong}, expect=(400, "M_INVALID_PARAM"))
