"""Accounts that last a year: Alice renews hers with a link, Bob with an administrator's help."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from config.settings import AccountSettings, ValiditySettings
from tests.cast import PASSWORD, Answer, Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings
from tests.mail import MailServer

DAY_MS = 24 * 60 * 60_000
YEAR_MS = 365 * DAY_MS
EXPIRED = (403, "ORG_MATRIX_EXPIRED_ACCOUNT")
RENEW = "/_matrix/client/unstable/account_validity/renew"
SEND = "/_matrix/client/unstable/account_validity/send_mail"
ADMIN = "/_synapse/admin/v1/account_validity/validity"
ACCOUNTS = AccountSettings(validity=ValiditySettings(YEAR_MS, 7 * DAY_MS))


@pytest.fixture
async def server(mail: MailServer, database_dsn: str, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Server]:
    settings = server_settings(tmp_path, accounts=ACCOUNTS, email=mail.settings())
    async with running_homeserver(settings, database_dsn, clock) as running:
        yield running


async def with_address(server: Server, name: str) -> Client:
    user = await server.register(name)
    await server.application.base.database.execute(
        "INSERT INTO user_threepids (medium, address, user_id, validated_ms, added_ms) VALUES ('email', $1, $2, 0, 0)",
        f"{name}@example.org", user.user_id,
    )  # fmt: skip
    return user


async def open_link(server: Server, link: str, method: str = "GET") -> Answer:
    assert link.startswith("http://localhost:8008" + RENEW)
    token = parse_qs(urlsplit(link).query)["token"][0]
    if method == "GET":
        return await server.anonymous().raw("GET", RENEW, query={"token": token}, check=False)
    return await server.anonymous().raw("POST", RENEW, data=urlencode({"token": token}).encode(), check=False)


async def test_an_account_that_ended_can_only_log_out(server: Server) -> None:
    alice = await server.register("alice")
    server.clock.advance(ms=YEAR_MS - 1)
    await alice.get("account/whoami")
    server.clock.advance(ms=1)
    await alice.get("account/whoami", expect=EXPIRED)
    await alice.get("sync", expect=EXPIRED)
    await alice.post("createRoom", {}, expect=EXPIRED)
    phone = await alice.login()
    await phone.get("sync", expect=EXPIRED)
    await phone.post("logout")
    await phone.get("sync", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_alice_renews_her_account_with_the_link(server: Server, mail: MailServer) -> None:
    alice = await with_address(server, "alice")
    server.clock.advance(ms=YEAR_MS - 7 * DAY_MS - 1)
    await due(server)
    assert not mail.unread
    server.clock.advance(ms=1)
    await due(server)
    letter = await mail.next("alice@example.org")
    assert alice.user_id in letter.text
    # Once, however often is looked.
    await due(server)
    page = await open_link(server, letter.link)
    assert page.status == 200
    assert b"<form" in page.body
    server.clock.advance(ms=8 * DAY_MS)
    await alice.get("account/whoami", expect=EXPIRED)
    assert (await open_link(server, letter.link, "POST")).status == 200
    await alice.get("account/whoami")
    for method in ("GET", "POST"):
        assert (await open_link(server, letter.link, method)).status == 403
    server.clock.advance(ms=YEAR_MS)
    await alice.get("account/whoami", expect=EXPIRED)
    assert not mail.unread


async def due(server: Server) -> None:
    """What the housekeeping does each hour."""
    (step,) = [step for name, _, step in server.application.base.life._repeats if name == "tell-whose-accounts-end"]
    await step()


async def test_another_mail_can_be_asked_for(server: Server, mail: MailServer) -> None:
    alice, bob = await with_address(server, "alice"), await server.register("bob")
    server.clock.advance(ms=YEAR_MS)
    await alice.get("sync", expect=EXPIRED)
    await alice.post(SEND)
    first = await mail.next("alice@example.org")
    await alice.post(SEND)
    second = await mail.next("alice@example.org")
    assert (await open_link(server, first.link, "POST")).status == 403
    assert (await open_link(server, second.link, "POST")).status == 200
    await alice.get("account/whoami")
    await bob.post(SEND, expect=(400, "M_THREEPID_NOT_FOUND"))
    await server.anonymous().post(SEND, expect=(401, "M_MISSING_TOKEN"))


async def test_an_administrator_renews_and_ends(server: Server, mail: MailServer) -> None:
    ada, bob = await server.administrator(), await with_address(server, "bob")
    now_ms = server.clock.now_ms()
    assert await ada.post(ADMIN, {"user_id": bob.user_id, "expiration_ts": now_ms}) == {"expiration_ts": now_ms}
    await bob.get("account/whoami", expect=EXPIRED)
    answer = await ada.post(ADMIN, {"user_id": bob.user_id})
    assert answer == {"expiration_ts": now_ms + YEAR_MS}
    await bob.get("account/whoami")
    soon = {"user_id": bob.user_id, "expiration_ts": now_ms + DAY_MS, "enable_renewal_emails": False}
    await ada.post(ADMIN, soon)
    await due(server)
    assert not mail.unread
    await bob.post(ADMIN, soon, expect=(403, "M_FORBIDDEN"))
    await ada.post(ADMIN, {"user_id": "@nobody:test"}, expect=(404, "M_NOT_FOUND"))
    await ada.post(ADMIN, {"user_id": "x" * 300}, expect=(404, "M_NOT_FOUND"))
    for wrong in (-1, 2**60):
        await ada.post(ADMIN, {"user_id": bob.user_id, "expiration_ts": wrong}, expect=400)
    # Administrators do not end by themselves: somebody has to renew the others.
    server.clock.advance(ms=2 * YEAR_MS)
    await ada.get("account/whoami")


async def test_links_that_renew_nothing(server: Server) -> None:
    nobody = server.anonymous()
    for token in ("", "made up", "x" * 1000, "<script>", "ä"):
        answer = await nobody.raw("GET", RENEW, query={"token": token}, check=False)
        assert answer.status == 403
        answer = await nobody.raw("POST", RENEW, data=urlencode({"token": token}).encode(), check=False)
        assert answer.status == 403
        assert b"<script>" not in answer.body


async def test_guests_last_until_they_are_accounts(server: Server) -> None:
    guest = await server.guest()
    server.clock.advance(ms=YEAR_MS)
    await guest.get("account/whoami")
    name = guest.user_id[1:].partition(":")[0]
    body = {"username": name, "password": PASSWORD, "guest_access_token": guest.access_token}
    upgraded = await guest.anonymous().post("register", {**body, "auth": {"type": "m.login.dummy"}})
    assert upgraded["user_id"] == guest.user_id
    server.clock.advance(ms=YEAR_MS)
    await (await server.anonymous().login(name, PASSWORD)).get("account/whoami", expect=EXPIRED)


async def test_accounts_of_before_get_an_end_and_lose_it_where_there_are_none(
    database_dsn: str, clock: FakeClock, tmp_path: Path
) -> None:
    forever = server_settings(tmp_path)
    async with running_homeserver(forever, database_dsn, clock) as running:
        token = (await running.register("alice")).access_token
        await running.anonymous().get(RENEW, token="x", expect=(404, "M_UNRECOGNIZED"))
    async with running_homeserver(server_settings(tmp_path, accounts=ACCOUNTS), database_dsn, clock) as running:
        alice = Client(running.session, running.base_url, access_token=token)
        await alice.get("account/whoami")
        clock.advance(ms=YEAR_MS)
        await alice.get("account/whoami", expect=EXPIRED)
        await alice.post(SEND, expect=(400, "M_UNKNOWN"))
    async with running_homeserver(forever, database_dsn, clock) as running:
        await Client(running.session, running.base_url, access_token=token).get("account/whoami")
