"""What Alice does with her account in a browser."""

from __future__ import annotations

import re

import pytest

from tests.browser import Browser, Page
from tests.cast import PASSWORD, Client, Server
from tests.oauth_client import browser_of, register_client, with_token

ACCOUNT = "/_voicechat/account"
RESET = "org.matrix.cross_signing_reset"


async def open_account(server: Server, browser: Browser, action: str = "", **query: str) -> Page:
    page = await browser.open(ACCOUNT, action=action, **query)
    if any("Sign in" in form.buttons for form in page.forms):
        page = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    return page


async def test_alice_looks_around_and_signs_out(server: Server) -> None:
    await server.register("alice")
    browser = browser_of(server)
    page = await open_account(server, browser)
    assert "@alice:test" in page.text
    for action in re.findall(r"action=([\w.]+)", page.text):
        assert (await browser.open(ACCOUNT, action=action)).status == 200
    await browser.send(page, "Sign out in this browser")
    assert browser.cookies == {}
    assert (await browser.open(ACCOUNT)).form("Sign in")


async def test_she_takes_another_name(server: Server) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    page = await open_account(server, browser, "org.matrix.profile")
    await browser.send(page, "Change", displayname="Alice <3")
    assert (await alice.get(("profile", "@alice:test")))["displayname"] == "Alice <3"
    again = await open_account(server, browser, "org.matrix.profile")
    assert again.form("Change").fields["displayname"] == "Alice <3"


@pytest.mark.parametrize("action", ["org.matrix.device_delete", "org.matrix.session_end"])
async def test_she_signs_out_a_device(server: Server, action: str) -> None:
    alice = await server.register("alice", initial_device_display_name="Old phone")
    browser = browser_of(server)
    tokens = await (await register_client(server)).sign_in(browser, "alice")
    devices = await open_account(server, browser, "org.matrix.devices_list")
    assert "PHONEPHONE with Chatter" in devices.text
    page = await open_account(server, browser, action, device_id=alice.device_id)
    await browser.send(page, "Sign out Old phone")
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await with_token(server, tokens["access_token"]).get("account/whoami")
    assert "No such device" in (await open_account(server, browser, action, device_id=alice.device_id)).text


async def test_she_signs_out_all_devices(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    browser = browser_of(server)
    tokens = await (await register_client(server)).sign_in(browser, "alice")
    await browser.send(await open_account(server, browser, "org.matrix.devices_list"), "Sign out all devices")
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await with_token(server, tokens["access_token"]).get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await bob.get("account/whoami")
    assert "No device is signed in." in (await browser.open(ACCOUNT, action="org.matrix.devices_list")).text


async def test_nobody_signs_out_the_devices_of_others(server: Server) -> None:
    await server.register("alice")
    bob = await server.register("bob")
    browser = browser_of(server)
    await open_account(server, browser)
    page = await open_account(server, browser, "org.matrix.devices_list")
    form = page.forms[0]
    answer = await browser.post(form.action, {**form.fields, "device_id": bob.device_id})
    assert answer.status == 404
    await bob.get("account/whoami")


async def test_her_account_ends_when_she_says_so_twice(server: Server) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    page = await open_account(server, browser, "org.matrix.account_deactivate")
    wrong = await browser.send(page, "End my account", user_id="alice")
    assert (wrong.status, wrong.alert) == (400, "To end your account, type your Matrix id exactly")
    await browser.send(wrong, "End my account", user_id="@alice:test", erase="yes")
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await server.anonymous().post(
        "login",
        {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": PASSWORD},
        expect="M_USER_DEACTIVATED",
    )


async def test_she_takes_another_password(server: Server) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    page = await open_account(server, browser, "org.voicechat.password")
    for new, again, status in (("another long one", "another", 400), ("short", "short", 400)):
        page = await browser.send(page, "Change my password", new_password=new, again=again)
        assert page.status == status
    new = "another long one"
    page = await browser.send(page, "Change my password", new_password=new, again=new, logout_devices="yes")
    assert "You have another password" in page.text
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await browser.open(ACCOUNT)).form("Sign in")
    await server.anonymous().login("alice", new)


async def test_who_has_no_password_here_gets_none(server: Server) -> None:
    await server.register("alice")
    browser = browser_of(server)
    page = await open_account(server, browser, "org.voicechat.password")
    await server.application.base.database.execute("UPDATE users SET password_hash = NULL")
    new = "another long one"
    assert (await browser.send(page, "Change my password", new_password=new, again=new)).status == 403
    assert "is not kept here" in (await browser.open(ACCOUNT, action="org.voicechat.password")).text


async def test_an_open_browser_is_not_enough_for_what_is_dangerous(server: Server) -> None:
    await server.register("alice")
    browser = browser_of(server)
    overview = await open_account(server, browser)
    server.clock.advance(minutes=11)
    for action in ("org.matrix.account_deactivate", "org.voicechat.password", RESET):
        assert (await browser.open(ACCOUNT, action=action)).form("Sign in")
    # Nor is the page of something else.
    fields = overview.form("Sign out in this browser").fields
    answer = await browser.post(f"{ACCOUNT}/deactivate", {**fields, "user_id": "@alice:test"})
    assert answer.status == 403


KEYS = ("nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk", "Wm0RnZXjvqaXgLeP9WKuR3GNoVvHgYEFVfW+BPnnMBE")


def master_key(key: str) -> dict[str, object]:
    return {"master_key": {"user_id": "@alice:test", "usage": ["master"], "keys": {f"ed25519:{key}": key}}}


class TestCrossSigningReset:
    """Clients that signed in by OAuth know no password: new keys are agreed to in a browser (`m.oauth`)."""

    @pytest.fixture
    def browser(self, server: Server) -> Browser:
        return browser_of(server)

    @pytest.fixture
    async def phone(self, server: Server, browser: Browser) -> Client:
        await server.register("alice")
        tokens = await (await register_client(server)).sign_in(browser, "alice")
        phone = with_token(server, tokens["access_token"], "@alice:test")
        await phone.post("keys/device_signing/upload", master_key(KEYS[0]))
        return phone

    async def test_alice_makes_new_keys(self, server: Server, browser: Browser, phone: Client) -> None:
        asked = await phone.post("keys/device_signing/upload", master_key(KEYS[1]), expect=401)
        assert {"stages": ["m.oauth"]} in asked["flows"]
        auth = {"session": asked["session"]}
        await phone.post("keys/device_signing/upload", {**master_key(KEYS[1]), "auth": auth}, expect=401)
        page = await browser.open(asked["params"]["m.oauth"]["url"])
        await browser.send(page, "Let my application make new keys")
        await phone.post("keys/device_signing/upload", {**master_key(KEYS[1]), "auth": auth})
        # It was for one upload.
        asked = await phone.post("keys/device_signing/upload", master_key(KEYS[0]), expect=401)
        auth = {"session": asked["session"]}
        await phone.post("keys/device_signing/upload", {**master_key(KEYS[0]), "auth": auth}, expect=401)

    async def test_her_agreement_is_good_for_ten_minutes(self, server: Server, browser: Browser, phone: Client) -> None:
        asked = await phone.post("keys/device_signing/upload", master_key(KEYS[1]), expect=401)
        await browser.send(await browser.open(ACCOUNT, action=RESET), "Let my application make new keys")
        server.clock.advance(minutes=10)
        body = {**master_key(KEYS[1]), "auth": {"session": asked["session"]}}
        await phone.post("keys/device_signing/upload", body, expect=401)

    async def test_that_of_mallory_is_not_hers(self, server: Server, browser: Browser, phone: Client) -> None:
        await server.register("mallory")
        asked = await phone.post("keys/device_signing/upload", master_key(KEYS[1]), expect=401)
        other = browser_of(server)
        page = await other.open(ACCOUNT, action=RESET)
        page = await other.send(page, "Sign in", user="mallory", password=PASSWORD)
        await other.send(page, "Let my application make new keys")
        body = {**master_key(KEYS[1]), "auth": {"session": asked["session"]}}
        await phone.post("keys/device_signing/upload", body, expect=401)

    async def test_with_a_password_it_is_the_password(self, server: Server, phone: Client) -> None:
        computer = await server.anonymous().login("alice", PASSWORD)
        asked = await computer.post("keys/device_signing/upload", master_key(KEYS[1]), expect=401)
        assert {"stages": ["m.oauth"]} not in asked["flows"]
