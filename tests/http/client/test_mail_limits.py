"""Mallory makes the server send mail, and soon makes it no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import ListenerSettings, RateLimitSettings, Settings
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import server_settings
from tests.mail import MailServer
from tests.people_with_mail import ADDRESS, mail_request


@pytest.fixture
def settings(tmp_path: Path, mail: MailServer) -> Settings:
    listeners = (ListenerSettings(port=0, trusted_proxies=("127.0.0.0/8",)),)
    return server_settings(
        tmp_path, email=mail.settings(), rate_limits=RateLimitSettings(enabled=True), listeners=listeners
    )


async def ask(server: Server, number: int, address: str, ip: str, expect: object = 200) -> None:
    await server.anonymous().request(
        "POST",
        "register/email/requestToken",
        json=mail_request(address, secret=f"s{number}"),
        headers={"X-Forwarded-For": ip},
        expect=expect,  # type: ignore[arg-type]
    )


async def test_one_address_of_the_network_sends_few_mails(server: Server, mail: MailServer, clock: FakeClock) -> None:
    for number in range(10):
        await ask(server, number, f"victim{number}@example.org", "192.0.2.7")
        await mail.next()
    await ask(server, 10, "victim10@example.org", "192.0.2.7", (429, "M_LIMIT_EXCEEDED"))
    await ask(server, 10, "victim10@example.org", "192.0.2.8")
    clock.advance(seconds=30)
    await ask(server, 11, "victim11@example.org", "192.0.2.7")


async def test_nobody_gets_many_mails_from_wherever(server: Server, mail: MailServer, clock: FakeClock) -> None:
    for number in range(5):
        await ask(server, number, ADDRESS, f"192.0.2.{number}")
        await mail.next(ADDRESS)
    await ask(server, 5, ADDRESS.upper(), "192.0.2.50", (429, "M_LIMIT_EXCEEDED"))
    assert mail.unread == 0
    clock.advance(minutes=5)
    await ask(server, 6, ADDRESS, "192.0.2.51")
