"""Stages completed in a browser, by a client that does not know them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from config.settings import RecaptchaSettings, RegistrationSettings, Settings
from tests.cast import PASSWORD, Answer, Server
from tests.homeserver import server_settings

WISH = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    captcha = RecaptchaSettings(public_key="public", private_key="s3cret")
    return server_settings(
        tmp_path, registration=RegistrationSettings(enabled=True, require_verification=False, recaptcha=captcha)
    )


def path(kind: str) -> str:
    return f"/_matrix/client/v3/auth/{kind}/fallback/web"


async def show(server: Server, kind: str, session: str) -> Answer:
    return await server.anonymous().raw("GET", path(kind), query={"session": session}, check=False)


async def submit(server: Server, kind: str, **form: str) -> Answer:
    return await server.anonymous().raw("POST", path(kind), data=urlencode(form).encode(), check=False)


async def test_alice_confirms_with_her_password_in_a_browser(server: Server) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    page = await show(server, "m.login.password", session)
    assert page.status == 200
    assert b'type="password"' in page.body
    wrong = await submit(server, "m.login.password", session=session, password="guess")
    assert wrong.status == 403
    assert b'role="alert"' in wrong.body
    done = await submit(server, "m.login.password", session=session, password=PASSWORD)
    assert b"onAuthDone" in done.body
    await alice.post("account/deactivate", {"auth": {"session": session}})


async def test_the_password_of_mallory_confirms_nothing_for_alice(server: Server) -> None:
    alice = await server.register("alice")
    await server.register("mallory", password="open sesame")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    assert (await submit(server, "m.login.password", session=session, password="open sesame")).status == 403
    await alice.post("account/deactivate", {"auth": {"session": session}}, expect=401)


async def test_registration_is_finished_after_the_browser(server: Server) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", WISH, expect=401))["session"]
    assert (await show(server, "m.login.dummy", session)).status == 200
    await submit(server, "m.login.dummy", session=session)
    assert (await nobody.post("register", {"auth": {"session": session}}))["user_id"] == "@alice:test"


async def test_a_stage_that_is_not_asked_for_confirms_nothing(server: Server) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    await submit(server, "m.login.dummy", session=session)
    await alice.post("account/deactivate", {"auth": {"session": session}}, expect=401)


async def test_the_page_of_the_captcha_loads_it(server: Server) -> None:
    session = (await server.anonymous().post("register", WISH, expect=401))["session"]
    page = await show(server, "m.login.recaptcha", session)
    assert b'data-sitekey="public"' in page.body
    assert "https://www.recaptcha.net" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("kind", ["m.login.dummy", "m.login.magic", "m.login.registration_token"])
@pytest.mark.parametrize("session", ["", "guess", "x" * 100, "ä", "<script>"])
async def test_unknown_sessions(server: Server, kind: str, session: str) -> None:
    for page in (await show(server, kind, session), await submit(server, kind, session=session)):
        assert page.status == 404
        assert b"<script>" not in page.body


async def test_without_a_session(server: Server) -> None:
    await server.anonymous().get(path("m.login.dummy"), expect=(400, "M_MISSING_PARAM"))


async def test_a_registration_session_asks_for_nobodys_password(server: Server) -> None:
    await server.register("bob")
    session = (await server.anonymous().post("register", WISH, expect=401))["session"]
    assert (await submit(server, "m.login.password", session=session, password=PASSWORD)).status == 400
