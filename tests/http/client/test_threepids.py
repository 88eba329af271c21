"""Alice adds an address to her account, with a mail that only she reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from config.settings import Settings
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import server_settings
from tests.mail import MailServer
from tests.people_with_mail import ADDRESS as ALICE
from tests.people_with_mail import BROWSER, SECRET, add_address, addresses, ask, mail_request, press


@pytest.fixture
def email(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest.fixture
def settings(tmp_path: Path, mail: MailServer, email: dict[str, Any]) -> Settings:
    return server_settings(tmp_path, email=mail.settings(**email))


async def test_alice_adds_an_address_and_signs_in_with_it(server: Server, mail: MailServer, clock: FakeClock) -> None:
    alice = await server.register("alice")
    sid = await ask(alice, address="  Alice@Example.ORG ")
    sent = await mail.next(ALICE)
    assert sent.subject == "Confirm your e-mail address for VoiceChat"
    assert sent.link.startswith("http://localhost:8008/_matrix/client/")
    assert "works for 1 hour" in sent.text
    wanted = {"sid": sid, "client_secret": SECRET}
    await alice.post("account/3pid/add", wanted, expect=(403, "M_THREEPID_AUTH_FAILED"))
    clock.advance(minutes=1)
    assert b"Thank you" in (await press(alice, sent.link)).body
    asked = await alice.post("account/3pid/add", wanted, expect=401)
    auth = alice.password_auth(session=asked["session"])
    await alice.post("account/3pid/add", {**wanted, "auth": auth})
    [threepid] = (await alice.get("account/3pid"))["threepids"]
    now_ms = clock.now_ms()
    assert threepid == {"medium": "email", "address": ALICE, "validated_at": now_ms, "added_at": now_ms}
    login = {"type": "m.login.password", "password": alice.password}
    for identifier in (
        {"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "ALICE@example.org"}},
        {"medium": "email", "address": ALICE},
    ):
        assert (await server.anonymous().post("login", {**login, **identifier}))["user_id"] == "@alice:test"


async def test_a_program_that_looks_at_links_confirms_nothing(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    sid = await ask(alice)
    target = urlsplit((await mail.next(ALICE)).link)
    for method in ("GET", "GET", "HEAD"):
        headers = BROWSER if method == "GET" else {}
        page = await server.anonymous().raw(method, f"{target.path}?{target.query}", headers=headers, encoded=True)
        assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    await alice.post(
        "account/3pid",
        {"three_pid_creds": {"sid": sid, "client_secret": SECRET}},
        expect=(403, "M_THREEPID_AUTH_FAILED"),
    )


@pytest.mark.parametrize("accept", [{}, {"Accept": "application/json"}], ids=["anything", "json"])
async def test_a_client_that_wants_no_page_confirms_at_once(
    server: Server, mail: MailServer, accept: dict[str, str]
) -> None:
    alice = await server.register("alice")
    sid = await ask(alice)
    target = urlsplit((await mail.next(ALICE)).link)
    wrong = f"{target.path}?{target.query}x"
    assert (await server.anonymous().raw("GET", wrong, headers=accept, encoded=True, check=False)).status == 404
    creds = {"three_pid_creds": {"sid": sid, "client_secret": SECRET}}
    await alice.post("account/3pid", creds, expect=(403, "M_THREEPID_AUTH_FAILED"))
    answer = await server.anonymous().raw("GET", f"{target.path}?{target.query}", headers=accept, encoded=True)
    assert (answer.status, b"Thank you" in answer.body) == (200, True)
    await alice.post("account/3pid", creds)
    assert await addresses(alice) == [ALICE]


async def test_mallory_cannot_use_what_alice_confirmed(server: Server, mail: MailServer) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    sid = await ask(alice)
    await press(alice, (await mail.next(ALICE)).link)
    for creds in ({"sid": sid, "client_secret": "guess"}, {"sid": "guess", "client_secret": SECRET}):
        await mallory.post("account/3pid", {"three_pid_creds": creds}, expect=(403, "M_THREEPID_AUTH_FAILED"))
    good = {"three_pid_creds": {"sid": sid, "client_secret": SECRET}}
    await alice.post("account/3pid", good)
    await alice.post("account/3pid", good, expect=(403, "M_THREEPID_AUTH_FAILED"))
    assert await addresses(mallory) == []


@pytest.mark.parametrize("purpose", ["register", "account/password"])
async def test_a_proof_is_good_for_what_its_mail_said(server: Server, mail: MailServer, purpose: str) -> None:
    alice = await server.register("alice")
    if purpose == "account/password":
        await add_address(alice, mail)
    sid = await ask(alice, purpose, secret="other")
    await press(alice, (await mail.next(ALICE)).link)
    mallory = await server.register("mallory")
    await mallory.post(
        "account/3pid",
        {"three_pid_creds": {"sid": sid, "client_secret": "other"}},
        expect=(403, "M_THREEPID_AUTH_FAILED"),
    )


async def test_an_attempt_that_is_not_newer_sends_nothing(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    first = await ask(alice, attempt=1)
    assert await ask(alice, attempt=1) == first
    assert await ask(alice, attempt=0) == first
    assert await ask(alice, attempt=2) == first
    assert await ask(alice, attempt=1, secret="another-client") != first
    links = [(await mail.next(ALICE)).link for _ in range(3)]
    assert mail.unread == 0
    assert len({parse_qs(urlsplit(link).query)["token"][0] for link in links}) == 3
    # Whoever asked twice may open the mail that came first.
    assert (await press(alice, links[0])).status == 200
    await alice.post("account/3pid", {"three_pid_creds": {"sid": first, "client_secret": SECRET}})


async def test_links_and_proofs_expire(server: Server, mail: MailServer, clock: FakeClock) -> None:
    alice = await server.register("alice")
    sid = await ask(alice)
    link = (await mail.next(ALICE)).link
    clock.advance(minutes=61)
    target = urlsplit(link)
    late = await server.anonymous().raw("GET", f"{target.path}?{target.query}", encoded=True, check=False)
    assert (late.status, b"does not work" in late.body) == (404, True)
    again = await ask(alice, attempt=1)
    assert again != sid
    await press(alice, (await mail.next(ALICE)).link)
    clock.advance(minutes=61)
    creds = {"three_pid_creds": {"sid": again, "client_secret": SECRET}}
    await alice.post("account/3pid", creds, expect=(403, "M_THREEPID_AUTH_FAILED"))
    await server.application.accounts.threepids.proofs.tidy()
    assert await server.application.base.database.fetchval("SELECT count(*) FROM threepid_sessions") == 0


async def test_tokens_and_secrets_are_not_in_the_database(server: Server, mail: MailServer) -> None:
    await ask(await server.register("alice"))
    token = parse_qs(urlsplit((await mail.next(ALICE)).link).query)["token"][0]
    row = await server.application.base.database.fetchval("SELECT threepid_sessions::text FROM threepid_sessions")
    assert ALICE in row
    assert token not in row
    assert SECRET not in row


@pytest.mark.parametrize("email", [{"hide_accounts": True}], indirect=True)
async def test_an_address_belongs_to_one_account_and_mallory_does_not_learn_whose(
    server: Server, mail: MailServer
) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await add_address(alice, mail)
    for what in ("account/3pid", "register"):
        sid = await ask(mallory, what, secret=f"mallory-{what[0]}")
        assert sid
        told = await mail.next(ALICE)
        assert told.subject == "You have an account on VoiceChat already"
        assert "http" not in told.text
    unknown = await ask(mallory, "account/password", address="nobody@example.org")
    assert unknown
    assert mail.unread == 0


async def test_two_accounts_that_prove_one_address_at_once(server: Server, mail: MailServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    sids = [await ask(alice, secret="alices"), await ask(bob, secret="bobs")]
    for _ in sids:
        await press(alice, (await mail.next(ALICE)).link)
    await alice.post("account/3pid", {"three_pid_creds": {"sid": sids[0], "client_secret": "alices"}})
    await bob.post(
        "account/3pid",
        {"three_pid_creds": {"sid": sids[1], "client_secret": "bobs"}},
        expect=(400, "M_THREEPID_IN_USE"),
    )
    assert (await addresses(alice), await addresses(bob)) == ([ALICE], [])


async def test_alice_is_told_at_her_old_address(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    await add_address(alice, mail, "new@example.org", "second")
    told = await mail.next(ALICE)
    assert told.subject == "An address was added to your account on VoiceChat"
    assert "new@example.org was added to @alice:test" in told.text
    gone = await alice.post("account/3pid/delete", {"medium": "email", "address": "Alice@example.org"})
    assert gone == {"id_server_unbind_result": "no-support"}
    assert "was removed from @alice:test" in (await mail.next(ALICE)).text
    assert await addresses(alice) == ["new@example.org"]
    # What is gone already is gone; nobody gets a mail about it.
    await alice.post("account/3pid/delete", {"medium": "email", "address": ALICE})
    auth = alice.password_auth()
    await alice.post("account/password", {"new_password": "another good password", "auth": auth})
    assert "password of @alice:test was changed" in (await mail.next("new@example.org")).text
    assert mail.unread == 0


async def test_the_address_of_a_deactivated_account_is_free(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    await alice.post("account/deactivate", {"auth": alice.password_auth()})
    login = {"type": "m.login.password", "password": alice.password, "medium": "email", "address": ALICE}
    await server.anonymous().post("login", login, expect=(403, "M_FORBIDDEN"))
    bob = await server.register("bob")
    await add_address(bob, mail, secret="bobs")
    assert await addresses(bob) == [ALICE]


NO_REQUESTS: list[dict[str, Any]] = [
    {"email": "alice"}, {"email": ""}, {"email": "a@b\r\nBcc: c@d"}, {"email": "x" * 255 + "@example.org"},
    {"email": "alice@example.org,bob@example.org"}, {"email": "alice@\0"}, {"email": "\ud800@example.org"},
    {"client_secret": ""}, {"client_secret": "ä"}, {"client_secret": "x" * 256}, {"client_secret": "a b"},
    {"send_attempt": -1}, {"send_attempt": 2**53},
    {"next_link": "javascript:alert(1)"}, {"next_link": "http://"}, {"next_link": "http://[::1"},
    {"next_link": "https://example.org/" + "x" * 2000}, {"next_link": "https://example.org/\n"},
]  # fmt: skip


async def test_what_is_no_request_for_a_mail(server: Server, mail: MailServer) -> None:
    for changes in NO_REQUESTS:
        for what in ("account/3pid", "register", "account/password"):
            path = f"{what}/email/requestToken"
            await server.anonymous().post(path, {**mail_request(), **changes}, expect={400})
    for field in ("client_secret", "email", "send_attempt"):
        wanted = {name: value for name, value in mail_request().items() if name != field}
        await server.anonymous().post("account/3pid/email/requestToken", wanted, expect=(400, "M_MISSING_PARAM"))
    assert mail.received == []


async def test_nobody_sends_text_messages(server: Server) -> None:
    asked = {"client_secret": SECRET, "country": "GB", "phone_number": "07700900001", "send_attempt": 1}
    for what in ("account/3pid", "register", "account/password"):
        path = f"{what}/msisdn/requestToken"
        await server.anonymous().post(path, asked, expect=(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"))
    del asked["country"]
    await server.anonymous().post("register/msisdn/requestToken", asked, expect=(400, "M_MISSING_PARAM"))


async def test_links_that_nobody_got(server: Server, mail: MailServer) -> None:
    path = "/_matrix/client/unstable/email/submit_token"
    for query in ("", "?sid=a", "?token=a", "?sid=a&token=a", "?sid=%3Cscript%3E&token=" + "x" * 500, "?sid=a&token="):
        answer = await server.anonymous().raw("GET", path + query, encoded=True, check=False)
        assert answer.status == 404, query
        assert b"<script>" not in answer.body
    for data in (b"", b"sid=a&token=b", b"\xff", b"a=" + b"x" * 20_000):
        answer = await server.anonymous().raw("POST", path, data=data, check=False)
        assert 400 <= answer.status < 500


async def test_a_mail_that_could_not_wait_is_asked_for_again(server: Server, mail: MailServer) -> None:
    mailer = server.application.accounts.threepids.request_mail.letters.mailer
    mailer.max_waiting = 0
    await server.anonymous().post("account/3pid/email/requestToken", mail_request(), expect=503)
    mailer.max_waiting = 10
    await ask(server.anonymous())
    await mail.next(ALICE)


async def test_capabilities_say_that_addresses_can_be_changed(server: Server) -> None:
    alice = await server.register("alice")
    assert (await alice.get("capabilities"))["capabilities"]["m.3pid_changes"] == {"enabled": True}


async def test_an_account_has_a_bounded_number_of_addresses(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await server.application.base.database.execute(
        "INSERT INTO user_threepids SELECT 'email', n || '@example.org', $1, 0, 0 FROM generate_series(1, 50) n",
        alice.user_id,
    )
    sid = await ask(alice)
    await press(alice, (await mail.next(ALICE)).link)
    await alice.post(
        "account/3pid", {"three_pid_creds": {"sid": sid, "client_secret": SECRET}}, expect=(403, "M_FORBIDDEN")
    )
