"""The link by which the first administrator makes his account."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.cast import PASSWORD, Answer, Server
from tests.clock import FakeClock


async def new_token(server: Server) -> str:
    link: str = await server.application.accounts.setup_links.create()
    parts = urlsplit(link)
    assert (parts.netloc, parts.path) == ("localhost:8008", "/setup")
    return parse_qs(parts.query)["token"][0]


async def submit(
    server: Server, token: str, username: str = "root", password: str = PASSWORD, again: str = ""
) -> Answer:
    form = {"token": token, "username": username, "password": password, "again": again or password}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    data = urlencode(form).encode()
    return await server.anonymous().raw("POST", "/setup", data=data, headers=headers, check=False)


async def show(server: Server, token: str) -> Answer:
    return await server.anonymous().raw("GET", "/setup", query={"token": token}, check=False)


async def test_the_first_administrator_makes_his_account(server: Server) -> None:
    token = await new_token(server)
    page = await show(server, token)
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["Cache-Control"] == "no-store"
    assert token.encode() in page.body
    answer = await submit(server, token)
    assert answer.status == 200
    assert b"@root:test" in answer.body
    await server.anonymous().login("root", PASSWORD)
    assert await server.application.base.database.fetchval("SELECT is_admin FROM users WHERE user_id = '@root:test'")


async def test_the_link_works_once_and_never_again_where_there_is_an_administrator(server: Server) -> None:
    token = await new_token(server)
    await submit(server, token)
    assert (await show(server, token)).status == 403
    assert (await submit(server, token, "mallory")).status == 403
    assert await server.application.accounts.setup_links.create() is None


async def test_the_link_is_dead_once_an_administrator_was_made_otherwise(server: Server) -> None:
    token = await new_token(server)
    await server.application.accounts.new_accounts.create_account("root", PASSWORD, admin=True)
    assert (await submit(server, token, "mallory")).status == 403


async def test_a_new_link_ends_the_one_before(server: Server) -> None:
    old, new = await new_token(server), await new_token(server)
    assert (await show(server, old)).status == 403
    assert (await show(server, new)).status == 200


async def test_the_link_expires_after_a_day(server: Server, clock: FakeClock) -> None:
    token = await new_token(server)
    clock.advance(days=1)
    assert (await submit(server, token)).status == 403


@pytest.mark.parametrize("token", ["", "guess", "x" * 5000, '"><script>'])
async def test_guessed_links(server: Server, token: str) -> None:
    await new_token(server)
    page = await show(server, token)
    assert page.status == 403
    assert b"<script>" not in page.body
    assert (await submit(server, token)).status == 403


@pytest.mark.parametrize(
    ("username", "password", "again"),
    [("root", PASSWORD, "something else"), ("ro ot", PASSWORD, ""), ("root", "short", ""), ("<b>", PASSWORD, "")],
)
async def test_a_mistake_can_be_corrected(server: Server, username: str, password: str, again: str) -> None:
    token = await new_token(server)
    answer = await submit(server, token, username, password, again)
    assert answer.status == 400
    assert b'role="alert"' in answer.body
    assert b"<b>" not in answer.body
    assert (await submit(server, token)).status == 200


@pytest.mark.parametrize("data", [b"\xff=1", b"&".join([b"a=1"] * 50), b"token=%FF"])
async def test_what_is_no_form(server: Server, data: bytes) -> None:
    answer = await server.anonymous().raw("POST", "/setup", data=data, check=False)
    assert answer.status in (400, 403)
