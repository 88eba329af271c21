"""A certified OpenID provider (npm oidc-provider), a real browser, our server as a process: in, confirmed, and out again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from tests.cast import Client, Server
from tests.interop import environments
from tests.interop.calls.chromium import Chromium, find_chromium
from tests.interop.target import SERVER_NAME, Target, free_port, start_target

SECONDS = 30.0
PAGE = "/_matrix/static/client/login/"
APP = (
    "window.matrixLogin = {onLogin: (response) => { window.appGot = response; }};"
    "window.onAuthDone = () => { window.appWasTold = true; };"
)


@dataclass(frozen=True, slots=True)
class House:
    """The homeserver and its provider."""

    target: Target
    issuer: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    try:
        command = environments.oidc_provider_command()
    except environments.Unavailable as error:
        pytest.skip(str(error))
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    provider = {
        "id": "house", "profile": "keycloak", "name": "The house", "issuer": issuer, "client_id": "voicechat",
        "client_secret": "what only the two know", "scopes": ["openid", "profile", "email", "groups"],
        "allowed_groups": ["/staff/Zürich"],
    }  # fmt: skip
    more = {"sso": {"providers": [provider]}, "outgoing_http": {"verify_tls": False}}
    target = start_target(tmp_path_factory.mktemp("house"), more)
    # Node.js may be behind a program that starts it: the whole group ends.
    process = subprocess.Popen(
        [*command, str(port), target.base_url], cwd=Path(command[1]).parent, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert any("ready" in line for line in iter(process.stdout.readline, ""))
    yield House(target, issuer)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(10)
    target.stop()
    assert target.complaints() == []


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium; or VOICECHAT_TEST_CHROMIUM)")
    browser = await Chromium.start(program, tmp_path / "profile")
    await browser.before_each_document(APP)
    yield browser
    await browser.close()


@pytest_asyncio.fixture
async def server(house: House) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as session:
        yield Server(session, house.target.base_url, SERVER_NAME)


async def sign_in_there(browser: Chromium, name: str) -> None:
    """On the provider's own pages: who one is, and that it may tell."""
    await browser.wait_for("document.querySelector('input[name=login]') !== null", SECONDS)
    await browser.run(
        f"document.querySelector('input[name=login]').value = {name!r};"
        "document.querySelector('input[name=password]').value = 'any';"
        "document.querySelector('form').requestSubmit()"
    )
    await browser.wait_for("document.querySelector('input[name=prompt][value=consent]') !== null", SECONDS)
    await browser.run("document.querySelector('form').requestSubmit()")


async def arrive(browser: Chromium, server: Server, name: str) -> Client:
    """From a client through the provider to a session."""
    back = quote(f"{server.base_url}{PAGE}", safe="")
    await browser.open(f"{server.base_url}/_matrix/client/v3/login/sso/redirect/house?redirectUrl={back}")
    await sign_in_there(browser, name)
    got = await browser.wait_for("window.appGot", SECONDS)
    return server.anonymous()._logged_in(got, "")


async def test_alice_signs_in_confirms_and_is_signed_out_by_her_provider(
    house: House, browser: Chromium, server: Server
) -> None:
    alice = await arrive(browser, server, "alice")
    assert alice.user_id == f"@alice:{SERVER_NAME}"
    assert (await alice.get(("profile", alice.user_id)))["displayname"] == "alice"
    addresses = (await alice.get("account/3pid"))["threepids"]
    assert [each["address"] for each in addresses] == ["alice@example.org"]

    session = (await alice.delete(("devices", "OTHER"), {}, expect=401))["session"]
    await browser.open(f"{server.base_url}/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}")
    await browser.wait_for("document.body.innerText.includes('sign out a device')", SECONDS)
    await browser.run("document.querySelector('form').requestSubmit()")
    await browser.wait_for("window.appWasTold", SECONDS)
    await alice.delete(("devices", "OTHER"), {"auth": {"session": session}})

    await browser.open(f"{house.issuer}/session/end")
    await browser.wait_for("document.querySelector('button[name=logout]') !== null", SECONDS)
    await browser.run("document.querySelector('button[name=logout]').click()")
    await _until_signed_out(alice)
    assert not [line for line in browser.console if "Content Security Policy" in line]


async def test_bob_comes_again_and_has_the_same_account(browser: Chromium, server: Server) -> None:
    bob = await arrive(browser, server, "bob")
    back = quote("https://app.example/", safe="")
    await browser.open(f"{server.base_url}/_matrix/client/v3/login/sso/redirect?redirectUrl={back}")
    link = "document.querySelector('a.button')?.href"
    token = str(await browser.wait_for(link, SECONDS)).partition("loginToken=")[2]
    answer = await server.anonymous().post("login", {"type": "m.login.token", "token": token})
    assert answer["user_id"] == bob.user_id


async def _until_signed_out(client: Client) -> None:
    async with asyncio.timeout(SECONDS):
        while (await client.raw("GET", "/_matrix/client/v3/account/whoami")).status != 401:
            await asyncio.sleep(0.1)
