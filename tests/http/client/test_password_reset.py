"""Alice has forgotten her password, and has an address that is hers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from config.settings import Settings
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import server_settings
from tests.mail import MailServer
from tests.people_with_mail import ADDRESS, BROWSER, SECRET, add_address, ask, email_auth, press

NEW = "a quite different password"


@pytest.fixture
def email(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest.fixture
def settings(tmp_path: Path, mail: MailServer, email: dict[str, Any]) -> Settings:
    return server_settings(tmp_path, email=mail.settings(**email))


async def test_alice_gets_a_new_password_and_everybody_else_is_signed_out(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    sent = await mail.next(ADDRESS)
    assert sent.subject == "Reset your password on VoiceChat"
    asked = await nobody.post("account/password", {"new_password": NEW}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.email.identity"]}]
    wanted: dict[str, Any] = {"new_password": NEW, "auth": email_auth(asked["session"], sid)}
    # The client asks again and again while Alice looks for the mail.
    waiting = await nobody.post("account/password", wanted, expect=(401, "M_UNAUTHORIZED"))
    assert waiting["session"] == asked["session"]
    await press(nobody, sent.link)
    await nobody.post("account/password", wanted)
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await alice.login(password=NEW)).user_id == alice.user_id
    await nobody.post("login", {"type": "m.login.password", "user": "alice", "password": alice.password}, expect=403)
    assert (await mail.next(ADDRESS)).subject == "Your password on VoiceChat was changed"


async def test_devices_stay_if_alice_says_so_and_the_proof_is_used_once(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    await press(nobody, (await mail.next(ADDRESS)).link)
    sessions = [(await nobody.post("account/password", {"new_password": NEW}, expect=401))["session"] for _ in range(2)]
    for session, new_password, expect in ((sessions[0], NEW, 200), (sessions[1], "a third password", 401)):
        body = {"new_password": new_password, "logout_devices": False, "auth": email_auth(session, sid)}
        await nobody.post("account/password", body, expect=expect)
    await alice.get("account/whoami")
    await alice.login(password=NEW)


@pytest.mark.parametrize("email", [{}, {"confirm_with_button": False}], indirect=True)
@pytest.mark.parametrize("accept", [{}, {"Accept": "application/json"}, BROWSER], ids=["anything", "json", "browser"])
async def test_mallory_asks_for_the_mail_and_what_looks_at_its_link_gives_him_nothing(
    server: Server, mail: MailServer, accept: dict[str, str]
) -> None:
    alice, mallory = await server.register("alice"), server.anonymous()
    rows = server.application.accounts.threepids.addresses.rows
    assert await rows.add(server.application.base.database, "email", ADDRESS, alice.user_id, 1, 1)
    sid = await ask(mallory, "account/password")
    target = urlsplit((await mail.next(ADDRESS)).link)
    opened = await server.anonymous().raw("GET", f"{target.path}?{target.query}", headers=accept, encoded=True)
    assert b"<button>" in opened.body
    session = (await mallory.post("account/password", {"new_password": NEW}, expect=401))["session"]
    wanted = {"new_password": NEW, "auth": email_auth(session, sid)}
    await mallory.post("account/password", wanted, expect=(401, "M_UNAUTHORIZED"))


async def test_a_confirmation_cannot_be_kept_for_later(server: Server, mail: MailServer, clock: FakeClock) -> None:
    """Mallory had Alice's mail open for a minute, and asks for more mail ever since."""
    await add_address(await server.register("alice"), mail)
    mallory = server.anonymous()
    sid = await ask(mallory, "account/password")
    await press(mallory, (await mail.next(ADDRESS)).link)
    for attempt in range(2, 5):
        clock.advance(minutes=25)
        await ask(mallory, "account/password", attempt=attempt)
    session = (await mallory.post("account/password", {"new_password": NEW}, expect=401))["session"]
    wanted = {"new_password": NEW, "auth": email_auth(session, sid)}
    await mallory.post("account/password", wanted, expect=(401, "M_UNAUTHORIZED"))


async def test_what_mallory_confirmed_before_ends_with_the_new_password(server: Server, mail: MailServer) -> None:
    """He had Alice's mail open; she has her mail back, and sets a new password here as well."""
    alice = await server.register("alice")
    await add_address(alice, mail)
    mallory = server.anonymous()
    sid = await ask(mallory, "account/password", secret="mallorys")
    await press(mallory, (await mail.next(ADDRESS)).link)
    await alice.post("account/password", {"new_password": NEW, "auth": alice.password_auth()})
    session = (await mallory.post("account/password", {"new_password": NEW}, expect=401))["session"]
    wanted = {"new_password": NEW, "auth": email_auth(session, sid, "mallorys")}
    await mallory.post("account/password", wanted, expect=(401, "M_UNAUTHORIZED"))


async def test_one_request_is_enough_for_who_has_confirmed_already(server: Server, mail: MailServer) -> None:
    """As Element asks: without a session, with both spellings."""
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    creds = {"sid": sid, "client_secret": SECRET, "id_server": "id.example.org"}
    auth = {"type": "m.login.email.identity", "threepid_creds": creds, "threepidCreds": creds}
    await nobody.post("account/password", {"new_password": NEW, "auth": auth}, expect=(401, "M_UNAUTHORIZED"))
    await press(nobody, (await mail.next(ADDRESS)).link)
    await nobody.post("account/password", {"new_password": NEW, "auth": auth})
    await alice.login(password=NEW)


async def test_two_requests_with_one_proof_change_the_password_once(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    await press(nobody, (await mail.next(ADDRESS)).link)
    auth = {"type": "m.login.email.identity", "threepid_creds": {"sid": sid, "client_secret": SECRET}}
    bodies = [{"new_password": f"{NEW} {number}", "auth": auth} for number in range(4)]
    answers = await asyncio.gather(*(nobody.raw("POST", "account/password", data=orjson.dumps(b)) for b in bodies))
    assert [each.status for each in answers].count(200) == 1


async def test_a_weak_password_is_refused_before_the_proof_is_gone(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    await press(nobody, (await mail.next(ADDRESS)).link)
    session = (await nobody.post("account/password", {"new_password": NEW}, expect=401))["session"]
    body = {"new_password": "short", "auth": email_auth(session, sid)}
    await nobody.post("account/password", body, expect=(400, "M_WEAK_PASSWORD"))
    await nobody.post("account/password", {**body, "new_password": NEW})


async def test_mallory_gets_in_with_nothing_of_his_own(server: Server, mail: MailServer) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await add_address(alice, mail)
    await add_address(mallory, mail, "mallory@example.org", "mallorys")
    nobody = server.anonymous()
    victim = await ask(nobody, "account/password", secret="guess-this")
    link = (await mail.next(ADDRESS)).link
    session = (await nobody.post("account/password", {"new_password": NEW}, expect=401))["session"]
    for auth in (
        email_auth(session, victim, "guess-this"),  # nobody has confirmed it
        {"type": "m.login.dummy", "session": session},
        {"type": "m.login.email.identity", "session": session},
        {"type": "m.login.email.identity", "session": session, "threepid_creds": {"sid": victim}},
        alice.password_auth(session=session),
    ):
        await nobody.post("account/password", {"new_password": NEW, "auth": auth}, expect=401)
    for creds, errcode in (("x", "M_BAD_JSON"), ([], "M_BAD_JSON")):
        auth = {"type": "m.login.email.identity", "session": session, "threepid_creds": creds}
        await nobody.post("account/password", {"new_password": NEW, "auth": auth}, expect=(400, errcode))
    # A session that was confirmed for him is none for her.
    own = await ask(nobody, "account/password", address="mallory@example.org", secret="mallorys-too")
    await press(nobody, (await mail.next("mallory@example.org")).link)
    for sid, secret in ((own, "guess-this"), (victim, "mallorys-too")):
        body = {"new_password": NEW, "auth": email_auth(session, sid, secret)}
        await nobody.post("account/password", body, expect=401)
    await press(nobody, link)
    await alice.login()


async def test_an_address_that_was_taken_away_resets_nothing(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    await press(nobody, (await mail.next(ADDRESS)).link)
    await alice.post("account/3pid/delete", {"medium": "email", "address": ADDRESS})
    session = (await nobody.post("account/password", {"new_password": NEW}, expect=401))["session"]
    body = {"new_password": NEW, "auth": email_auth(session, sid)}
    await nobody.post("account/password", body, expect=(400, "M_THREEPID_NOT_FOUND"))
    await alice.login()


async def test_who_is_signed_in_gives_his_password_and_no_address(server: Server, mail: MailServer) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    asked = await alice.post("account/password", {"new_password": NEW}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.password"]}]
    sid = await ask(alice, "account/password", secret="another")
    await press(alice, (await mail.next(ADDRESS)).link)
    body = {"new_password": NEW, "auth": email_auth(asked["session"], sid, "another")}
    await alice.post("account/password", body, expect=(401, "M_UNRECOGNIZED"))


async def test_a_session_of_a_reset_expires(server: Server, mail: MailServer, clock: FakeClock) -> None:
    alice = await server.register("alice")
    await add_address(alice, mail)
    nobody = server.anonymous()
    sid = await ask(nobody, "account/password")
    await press(nobody, (await mail.next(ADDRESS)).link)
    clock.advance(minutes=61)
    session = (await nobody.post("account/password", {"new_password": NEW}, expect=401))["session"]
    body = {"new_password": NEW, "auth": email_auth(session, sid)}
    await nobody.post("account/password", body, expect=(401, "M_UNAUTHORIZED"))
