"""Mallory guesses passwords, and waits longer each time. Everybody else signs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import AccountSettings, RateLimitSettings, RateSettings, Settings
from homeserver.protocol.errors import LimitExceeded
from homeserver.services.accounts.back_off import FREE_OF_ACCOUNT, FREE_OF_PLACE, LONGEST_MS, BackOff
from tests.cast import PASSWORD, Server
from tests.clock import FakeClock
from tests.homeserver import server_settings

ALICE, MALLORY, OFFICE = "@alice:test", "203.0.113.7", "198.51.100.1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The even pace of the buckets is none here."""
    rates = tuple(RateSettings(what, 100_000, 1) for what in ("login", "password_guess", "registration"))
    return server_settings(
        tmp_path, rate_limits=RateLimitSettings(rates=rates), accounts=AccountSettings(hide_ended=True)
    )


async def sign_in(server: Server, password: str, address: str, expect: Any, user: str = "alice") -> Any:
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password}
    return await server.anonymous().request(
        "POST", "login", json=body, headers={"X-Forwarded-For": address}, expect=expect
    )


async def test_mallory_waits_and_alice_does_not(server: Server) -> None:
    await server.register("alice")
    for _ in range(FREE_OF_ACCOUNT):
        await sign_in(server, "guess", MALLORY, (403, "M_FORBIDDEN"))
    waits = []
    for _ in range(4):
        answer = await sign_in(server, "guess", MALLORY, (429, "M_LIMIT_EXCEEDED"))
        waits.append(answer["retry_after_ms"])
        server.clock.advance(ms=answer["retry_after_ms"])
        await sign_in(server, "guess", MALLORY, 403)
    assert waits == [5_000, 10_000, 20_000, 40_000]
    # Not even the right one is looked at now, but from elsewhere it is.
    await sign_in(server, PASSWORD, MALLORY, 429)
    await sign_in(server, PASSWORD, OFFICE, 200)


async def test_names_that_nobody_has_wait_as_long(server: Server) -> None:
    for _ in range(FREE_OF_ACCOUNT):
        await sign_in(server, "guess", MALLORY, (403, "M_FORBIDDEN"), "nobody")
    answer = await sign_in(server, "guess", MALLORY, (429, "M_LIMIT_EXCEEDED"), "Nobody")
    assert answer["retry_after_ms"] == 5_000


async def test_an_account_that_has_ended_is_as_none(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post("account/deactivate", {"auth": alice.password_auth()})
    errors = [await sign_in(server, PASSWORD, OFFICE, (403, "M_FORBIDDEN"), user) for user in ("alice", "nobody")]
    assert errors[0] == errors[1]


async def test_what_is_recorded(server: Server) -> None:
    await server.register("alice")
    ada = await server.administrator()
    await sign_in(server, "guess", MALLORY, 403)
    await sign_in(server, "guess", MALLORY, 403, "my pass word")
    await sign_in(server, PASSWORD, OFFICE, 200)
    entries = (await ada.get("/_voicechat/admin/v1/audit"))["entries"]
    found = {(each["action"], each["target"], each["address"]) for each in entries if "login" in each["action"]}
    assert {
        ("login.failed", ALICE, MALLORY),
        ("login.failed", "somebody unknown", MALLORY),
        ("login.password", ALICE, OFFICE),
    } <= found
    assert "my pass word" not in str(entries)


def blocked_ms(back_off: BackOff, address: str, account: str) -> int:
    try:
        back_off.check(address, account)
    except LimitExceeded as error:
        return int(error.data["retry_after_ms"])
    return 0


def test_a_right_password_forgives_its_account_and_not_the_place(clock: FakeClock) -> None:
    """Mallory tries one password with each account, and his own in between."""
    back_off = BackOff(clock)
    for number in range(FREE_OF_PLACE):
        assert blocked_ms(back_off, MALLORY, f"@u{number}:test") == 0
        back_off.failed(MALLORY, f"@u{number}:test")
        back_off.succeeded(MALLORY, "@mallory:test")
    assert blocked_ms(back_off, MALLORY, "@another:test") == 5_000
    for _ in range(FREE_OF_ACCOUNT - 1):
        back_off.failed(OFFICE, ALICE)
    back_off.succeeded(OFFICE, ALICE)
    back_off.failed(OFFICE, ALICE)
    assert blocked_ms(back_off, OFFICE, ALICE) == 0


def test_it_ends(clock: FakeClock) -> None:
    back_off = BackOff(clock)
    for _ in range(60):
        back_off.failed(MALLORY, ALICE)
    assert blocked_ms(back_off, MALLORY, ALICE) == LONGEST_MS
    clock.advance(hours=1, seconds=1)
    back_off.failed(MALLORY, ALICE)
    assert blocked_ms(back_off, MALLORY, ALICE) == 0


def test_a_network_is_one_place(clock: FakeClock) -> None:
    back_off = BackOff(clock)
    for number in range(FREE_OF_ACCOUNT):
        back_off.failed(f"2001:db8::{number}", ALICE)
    assert blocked_ms(back_off, "2001:db8::ffff", ALICE) > 0
    assert blocked_ms(back_off, "2001:db8:0:1::1", ALICE) == 0


def test_a_flood_is_bounded_and_forgives_the_most_patient(clock: FakeClock) -> None:
    back_off = BackOff(clock, max_kept=100)
    for _ in range(FREE_OF_ACCOUNT):
        back_off.failed(MALLORY, ALICE)
    for number in range(1_000):
        back_off.failed(f"10.0.{number // 250}.{number % 250}", "@x:test")
    assert back_off.memory_usage()["places"] <= 101
    assert blocked_ms(back_off, MALLORY, ALICE) > 0
