"""People who make an account with an address, where they may, and where they have to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import RegistrationSettings, Settings
from tests.cast import Server
from tests.homeserver import server_settings
from tests.mail import MailServer
from tests.people_with_mail import ADDRESS, BROWSER, add_address, ask, email_auth, press

BOB: dict[str, Any] = {"username": "bob", "password": "correct horse battery staple"}
DUMMY = {"type": "m.login.dummy"}


@pytest.fixture
def require_email(request: pytest.FixtureRequest) -> bool:
    return bool(getattr(request, "param", False))


@pytest.fixture
def email(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest.fixture
def settings(tmp_path: Path, mail: MailServer, require_email: bool, email: dict[str, Any]) -> Settings:
    registration = RegistrationSettings(enabled=True, require_verification=False, require_email=require_email)
    return server_settings(tmp_path, email=mail.settings(**email), registration=registration)


async def test_bob_may_give_an_address_and_need_not(server: Server, mail: MailServer) -> None:
    await server.register("alice")
    nobody = server.anonymous()
    asked = await nobody.post("register", BOB, expect=401)
    assert [flow["stages"] for flow in asked["flows"]] == [["m.login.dummy"], ["m.login.email.identity"]]
    sid = await ask(nobody, "register")
    sent = await mail.next(ADDRESS)
    assert "is making an account on test" in sent.text
    auth = email_auth(asked["session"], sid)
    await nobody.post("register", {**BOB, "auth": auth}, expect=(401, "M_UNAUTHORIZED"))
    await press(nobody, sent.link)
    bob = await nobody.post("register", {**BOB, "auth": auth})
    nobody.access_token = bob["access_token"]
    [threepid] = (await nobody.get("account/3pid"))["threepids"]
    assert threepid["address"] == ADDRESS
    assert mail.unread == 0


@pytest.mark.parametrize("require_email", [True], indirect=True)
async def test_everybody_needs_an_address_where_the_server_wants_one(server: Server, mail: MailServer) -> None:
    nobody = server.anonymous()
    asked = await nobody.post("register", {**BOB, "auth": DUMMY}, expect=(401, "M_UNRECOGNIZED"))
    assert [flow["stages"] for flow in asked["flows"]] == [["m.login.email.identity"]]
    sid = await ask(nobody, "register")
    await press(nobody, (await mail.next(ADDRESS)).link)
    await nobody.post("register", {**BOB, "auth": email_auth(asked["session"], sid)})
    # One proof, one account.
    again = await nobody.post("register", {**BOB, "username": "carol"}, expect=401)
    body = {**BOB, "username": "carol", "auth": email_auth(again["session"], sid)}
    await nobody.post("register", body, expect=(401, "M_UNAUTHORIZED"))


async def test_an_address_that_somebody_got_meanwhile_makes_no_second_account(server: Server, mail: MailServer) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", BOB, expect=401))["session"]
    sid = await ask(nobody, "register", secret="bobs")
    await press(nobody, (await mail.next(ADDRESS)).link)
    alice = await server.register("alice")
    await add_address(alice, mail)
    body = {**BOB, "auth": email_auth(session, sid, "bobs")}
    await nobody.post("register", body, expect=(400, "M_THREEPID_IN_USE"))
    assert await nobody.get("register/available", username="bob") == {"available": True}


@pytest.mark.parametrize("email", [{"domains": ("Example.ORG",)}], indirect=True)
async def test_addresses_of_other_domains_are_denied(server: Server, mail: MailServer) -> None:
    nobody = server.anonymous()
    for what in ("register", "account/3pid"):
        for address in ("bob@example.com", "bob@evil.example.org", "bob@example.org.evil.com"):
            body = {"client_secret": "s", "email": address, "send_attempt": 1}
            await nobody.post(f"{what}/email/requestToken", body, expect=(403, "M_THREEPID_DENIED"))
        assert await ask(nobody, what, address="BOB@EXAMPLE.org", secret=f"of-{what[0]}")
        await mail.next("bob@example.org")


async def test_who_has_an_account_is_said_as_the_specification_wants_it(server: Server, mail: MailServer) -> None:
    await add_address(await server.register("alice"), mail)
    nobody = server.anonymous()
    body = {"client_secret": "other", "email": ADDRESS, "send_attempt": 1}
    for what in ("register", "account/3pid"):
        await nobody.post(f"{what}/email/requestToken", body, expect=(400, "M_THREEPID_IN_USE"))
    body["email"] = "nobody@example.org"
    await nobody.post("account/password/email/requestToken", body, expect=(400, "M_THREEPID_NOT_FOUND"))
    assert mail.unread == 0


LINKS = {"next_link_domains": ("app.example.org",)}


@pytest.mark.parametrize("email", [LINKS], indirect=True)
async def test_people_are_led_back_to_clients_that_the_server_knows(server: Server, mail: MailServer) -> None:
    nobody = server.anonymous()
    good = 'https://app.example.org/#/register?sid=1&x="<'
    for number, link in enumerate((good, "https://evil.example.org/", "https://app.example.org@evil.example.org/")):
        await ask(nobody, "register", secret=f"s{number}", next_link=link)
        page = await press(nobody, (await mail.next(ADDRESS)).link)
        shown = b'href="https://app.example.org/#/register?sid=1&amp;x=&quot;&lt;"' in page.body
        assert (shown, b"evil" in page.body) == (link == good, False)


@pytest.mark.parametrize("email", [{"confirm_with_button": False}], indirect=True)
async def test_a_server_may_do_without_the_button(server: Server, mail: MailServer) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", BOB, expect=401))["session"]
    sid = await ask(nobody, "register")
    link = (await mail.next(ADDRESS)).link.removeprefix("http://localhost:8008")
    assert b"Thank you" in (await nobody.raw("GET", link, headers=BROWSER, encoded=True)).body
    await nobody.post("register", {**BOB, "auth": email_auth(session, sid)})
