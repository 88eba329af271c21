"""Mail reaches the operator's mail server, whatever it wants, and nothing else can be made of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homeserver.protocol import errors
from homeserver.services.mail import relay
from homeserver.services.mail.letters import Letters
from homeserver.services.mail.mail import Mail, compose
from homeserver.services.mail.mailer import Mailer
from homeserver.services.mail.relay import MailServer, SmtpRelay
from homeserver.services.mail.templates import Templates
from tests.clock import FakeClock
from tests.federation.authority import Authority
from tests.mail import SECONDS, mail_server

ALICE = "alice@example.org"
VALUES = {"app_name": "VoiceChat", "server_name": "test", "server_url": "https://test"}


def letters_to(port: int, clock: FakeClock, *, templates: Path | None = None, **changes: Any) -> Letters:
    values: dict[str, Any] = {"sender": "The server <noreply@test>", "tls": "none", **changes}
    mailer = Mailer(SmtpRelay(MailServer("127.0.0.1", port, **values), clock), clock)
    return Letters(Templates(VALUES, templates), mailer)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.005)


def greet(letters: Letters, address: str = ALICE, user_id: str = "@alice:test") -> None:
    letters.send("password_changed", address, {"user_id": user_id})


async def test_alice_gets_text_and_html_with_proper_headers(clock: FakeClock) -> None:
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock)
        greet(letters, user_id="@<b>&:test")
        got = await mail.next(ALICE)
        assert got.sender == "noreply@test"
        assert got.subject == "Your password on VoiceChat was changed"
        assert got.message["From"] == "The server <noreply@test>"
        assert got.message["Auto-Submitted"] == "auto-generated"
        assert got.message["Message-ID"].endswith("@test>")
        assert "The password of @<b>&:test was changed" in got.text
        assert "<strong>@&lt;b&gt;&amp;:test</strong>" in got.html
        assert "This mail was sent by VoiceChat on test." in got.html
        await letters.mailer.stop()


async def test_what_mallory_writes_becomes_no_header(clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("Hello $name\n\nHello $name, $unknown costs 5$$")
    (tmp_path / "hello.html").write_text("<p>Hello $name</p>")
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock, templates=tmp_path)
        evil = "Mallory\r\nBcc: everybody@example.org\r\n\r\n<script>"
        letters.send("hello", ALICE, {"name": evil}, headers={"List-Unsubscribe": f"<https://test>{evil}"})
        got = await mail.next(ALICE)
        assert got.message["Bcc"] is None
        assert "Bcc:" not in "".join(name for name in got.message)
        assert got.subject == "Hello Mallory Bcc: everybody@example.org <script>"
        assert "&lt;script&gt;" in got.html
        assert "<script>" not in got.html
        assert "$unknown costs 5$" in got.text
        await letters.mailer.stop()


@pytest.mark.parametrize(
    "address",
    [
        "", "alice", "@example.org", "alice@", "alice@example.org\nBcc: bob@example.org", "a@b@c", "alice@exa mple.org",
        "alice@example.org, bob@example.org", "<alice@example.org>, bob@example.org", "\0@example.org",
        "alice@" + "x" * 70 + ".org", "alice@example..org", "alice@.org",
    ],
)  # fmt: skip
async def test_what_is_no_address_is_refused_before_anything_is_sent(clock: FakeClock, address: str) -> None:
    letters = letters_to(1, clock)
    with pytest.raises(errors.InvalidParam):
        greet(letters, address)
    assert letters.mailer.memory_usage() == {"waiting": 0, "later": 0}


async def test_a_host_in_another_script_is_written_in_ascii(clock: FakeClock) -> None:
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock)
        greet(letters, "alice@bücher.example")
        await mail.next("alice@xn--bcher-kva.example")
        await letters.mailer.stop()


async def test_addresses_in_other_scripts_go_where_they_are_understood(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with mail_server(utf8=True) as mail:
        letters = letters_to(mail.port, clock)
        greet(letters, "jürgen@example.org")
        await mail.next("jürgen@example.org")
        await letters.mailer.stop()
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock)
        greet(letters, "jürgen@example.org")
        greet(letters)
        await mail.next(ALICE)
        assert "was refused" in caplog.text
        await letters.mailer.stop()


async def test_a_mail_server_that_is_busy_gets_the_mail_a_minute_later(clock: FakeClock) -> None:
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock)
        mail.answers.append("451 greylisted")
        greet(letters)
        greet(letters, "bob@example.org")
        await mail.next("bob@example.org")
        await until(lambda: letters.mailer.memory_usage() == {"waiting": 0, "later": 1})
        clock.advance(seconds=59)
        await letters.mailer.retry_due()
        assert letters.mailer.memory_usage() == {"waiting": 0, "later": 1}
        clock.advance(seconds=1)
        await letters.mailer.retry_due()
        await mail.next(ALICE)
        await letters.mailer.stop()


async def test_a_refused_mail_is_not_sent_again_and_others_are(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock)
        mail.answers.append("550 no such user")
        greet(letters)
        greet(letters, "bob@example.org")
        await mail.next("bob@example.org")
        await until(lambda: letters.mailer.memory_usage() == {"waiting": 0, "later": 0})
        assert "was refused: 550 no such user" in caplog.text
        assert ALICE not in caplog.text
        await letters.mailer.stop()


async def test_mail_waits_for_a_mail_server_that_is_down_and_is_given_up_in_the_end(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with mail_server() as mail:
        port = mail.port
    letters = letters_to(port, clock)
    greet(letters)
    await until(lambda: letters.mailer.memory_usage()["later"] == 1)
    async with mail_server(port=port) as mail:
        clock.advance(minutes=1)
        await letters.mailer.retry_due()
        await mail.next(ALICE)
        await until(lambda: letters.mailer.memory_usage() == {"waiting": 0, "later": 0})
    greet(letters)
    for minutes in (0, 1, 5, 15):
        clock.advance(minutes=minutes)
        await letters.mailer.retry_due()
        await until(lambda: letters.mailer.memory_usage() == {"waiting": 0, "later": 1})
    clock.advance(minutes=60)
    await letters.mailer.retry_due()
    await until(lambda: letters.mailer.memory_usage() == {"waiting": 0, "later": 0})
    assert "given up after 5 attempts" in caplog.text
    await letters.mailer.stop()


async def test_the_queue_is_bounded(clock: FakeClock) -> None:
    letters = letters_to(1, clock)
    letters.mailer.max_waiting = 2
    greet(letters)
    greet(letters)
    with pytest.raises(errors.Unavailable):
        greet(letters)
    await letters.mailer.stop()
    with pytest.raises(errors.Unavailable):
        greet(letters)


@pytest.mark.parametrize("mode", ["tls", "starttls"])
async def test_connections_are_encrypted_and_the_server_says_who_it_is(
    clock: FakeClock, tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    authority = Authority(tmp_path)
    async with mail_server(**{mode: authority.context("127.0.0.1")}) as mail:
        login = {"tls": mode, "username": "us", "password": "mail password"}
        stranger = letters_to(mail.port, clock, **login)
        greet(stranger)
        await until(lambda: stranger.mailer.memory_usage()["later"] == 1)
        assert not mail.logins, "a login was told to a server that could not prove itself"
        friend = letters_to(mail.port, clock, ca_file=authority.ca_file, **login)
        greet(friend)
        assert (await mail.next(ALICE)).was_encrypted
        assert mail.logins == [("us", "mail password")]
        liar = letters_to(mail.port, clock, ca_file=authority.ca_file, **{**login, "password": "hunter2"})
        greet(liar)
        await until(lambda: liar.mailer.memory_usage()["later"] == 1)
        for each in (stranger, friend, liar):
            await each.mailer.stop()
    assert "mail password" not in caplog.text
    assert "hunter2" not in caplog.text


async def test_starttls_that_is_not_offered_is_no_reason_to_do_without(clock: FakeClock) -> None:
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock, tls="starttls", username="us", password="mail password")
        greet(letters)
        await until(lambda: letters.mailer.memory_usage()["later"] == 1)
        assert (mail.received, mail.logins) == ([], [])
        await letters.mailer.stop()


def test_the_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(MailServer("mail.test", 25, "us@test", username="us", password="hunter2"))


def test_every_template_of_ours_renders_without_a_gap() -> None:
    directory = Path(Templates.render.__code__.co_filename).parent / "templates"
    kinds = sorted({path.stem for path in directory.glob("*.txt")})
    assert "password_reset" in kinds
    values = dict.fromkeys(("link", "lifetime", "user_id", "other_address", "until", "rooms", "messages"), "X")
    for kind in kinds:
        mail = Templates(VALUES).render(kind, ALICE, values)
        assert isinstance(mail, Mail)
        known = {"$"} & set(mail.subject + mail.text + mail.html)
        assert not known, f"{kind} names what nobody fills in"


async def test_a_mail_that_nobody_can_write_holds_up_no_other(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbling(mail: Mail, sender: str, now_ms: int) -> Any:
        if mail.address == "mallory@example.org":
            raise KeyError("something nobody thought of")
        return compose(mail, sender, now_ms)

    monkeypatch.setattr(relay, "compose", stumbling)
    async with mail_server() as mail:
        letters = letters_to(mail.port, clock)
        greet(letters, "mallory@example.org")
        greet(letters)
        await mail.next(ALICE)
        await until(lambda: letters.mailer.memory_usage() == {"waiting": 0, "later": 0})
        await letters.mailer.stop()
