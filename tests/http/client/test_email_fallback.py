"""An address is confirmed in a browser, for a client that does not know how."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from config.settings import Settings
from tests.cast import PASSWORD, Answer, Server
from tests.homeserver import server_settings
from tests.mail import MailServer
from tests.people_with_mail import ADDRESS, add_address, press

PATH = "/_matrix/client/v3/auth/m.login.email.identity/fallback/web"
ALICE = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def settings(tmp_path: Path, mail: MailServer) -> Settings:
    return server_settings(tmp_path, email=mail.settings())


async def show(server: Server, session: str) -> Answer:
    return await server.anonymous().raw("GET", PATH, query={"session": session}, check=False)


async def submit(server: Server, **form: str) -> Answer:
    return await server.anonymous().raw("POST", PATH, data=urlencode(form).encode(), check=False)


def hidden(page: Answer) -> dict[str, str]:
    """The fields that the page's form brings along."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode()))


async def test_alice_registers_with_an_address_in_a_browser(server: Server, mail: MailServer) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", ALICE, expect=401))["session"]
    asked = await show(server, session)
    assert b'type="email"' in asked.body
    wrong = await submit(server, **hidden(asked), email="not an address")
    assert (wrong.status, b'role="alert"' in wrong.body) == (400, True)
    waiting = await submit(server, **hidden(asked), email=ADDRESS)
    assert b"Look for the mail" in waiting.body
    early = await submit(server, **hidden(waiting))
    assert (early.status, b"not been confirmed" in early.body) == (401, True)
    await press(nobody, (await mail.next(ADDRESS)).link)
    done = await submit(server, **hidden(early))
    assert b"onAuthDone" in done.body
    nobody.access_token = (await nobody.post("register", {"auth": {"session": session}}))["access_token"]
    [threepid] = (await nobody.get("account/3pid"))["threepids"]
    assert threepid["address"] == ADDRESS


async def test_a_forgotten_password_is_reset_in_a_browser(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody, new = server.anonymous(), "a quite different password"
    session = (await nobody.post("account/password", {"new_password": new}, expect=401))["session"]
    waiting = await submit(server, session=session, email=ADDRESS)
    await press(nobody, (await mail.next(ADDRESS)).link)
    assert b"onAuthDone" in (await submit(server, **hidden(waiting))).body
    await nobody.post("account/password", {"new_password": new, "auth": {"session": session}})
    await alice.login(password=new)


async def test_nobody_asks_for_an_address_where_none_is_wanted(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    for each in (session, "unknown", "<script>", "x" * 300):
        for page in (await show(server, each), await submit(server, session=each, email=ADDRESS)):
            assert (page.status, b"<script>" in page.body) == (404, False)
    assert mail.received == []


async def test_forms_that_make_no_sense(server: Server, mail: MailServer) -> None:
    session = (await server.anonymous().post("register", ALICE, expect=401))["session"]
    for form in ({}, {"email": ""}, {"email": '"><script>'}):
        assert (await submit(server, session=session, **form)).status == 400
    for sid in ("unknown", '"><script>', "\0"):
        page = await submit(server, session=session, sid=sid, secret="guess")
        assert (page.status, b"<script>" in page.body) == (401, False)
    assert mail.received == []
