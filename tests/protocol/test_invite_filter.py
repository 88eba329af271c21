"""Whose invitations are wanted: users before servers, allowed before ignored before blocked."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.invite_filter import (
    ALLOW_ALL,
    FILTER,
    MAX_STARS,
    PERMISSION,
    PERMISSION_BEFORE_1_18,
    Verdict,
    read_filter,
)

ALLOW, IGNORE, BLOCK = Verdict.ALLOW, Verdict.IGNORE, Verdict.BLOCK
ALICE, MALLORY = "@alice:good.org", "@mallory:bad.org"


def verdicts(**lists: Any) -> tuple[Verdict, Verdict]:
    """What becomes of invitations by Alice and by Mallory."""
    wanted = read_filter({FILTER: lists})
    return wanted.verdict(ALICE), wanted.verdict(MALLORY)


def test_nothing_said_is_everybody_allowed() -> None:
    assert read_filter({}).verdict(MALLORY) is ALLOW
    assert verdicts() == (ALLOW, ALLOW)


@pytest.mark.parametrize("event_type", [PERMISSION, PERMISSION_BEFORE_1_18])
def test_block_is_everybody_whatever_the_lists_say(event_type: str) -> None:
    wanted = read_filter({event_type: {"default_action": "block"}, FILTER: {"allowed_users": [ALICE]}})
    assert wanted.verdict(ALICE) is BLOCK
    for other in ("allow", None, 7, {}, "BLOCK"):
        assert read_filter({event_type: {"default_action": other}}).verdict(MALLORY) is ALLOW


def test_users_and_servers_by_name_and_by_pattern() -> None:
    assert verdicts(blocked_users=[MALLORY]) == (ALLOW, BLOCK)
    assert verdicts(blocked_users=["@m*"]) == (ALLOW, BLOCK)
    assert verdicts(ignored_users=["@?allory:*"]) == (ALLOW, IGNORE)
    assert verdicts(blocked_servers=["bad.org"]) == (ALLOW, BLOCK)
    assert verdicts(blocked_servers=["BAD.*"]) == (ALLOW, BLOCK)
    assert verdicts(ignored_servers=["*"]) == (IGNORE, IGNORE)
    assert verdicts(blocked_servers=["bad"], blocked_users=["mallory"]) == (ALLOW, ALLOW)


def test_allowed_comes_before_ignored_and_ignored_before_blocked() -> None:
    assert verdicts(allowed_servers=["good.org"], blocked_servers=["*"]) == (ALLOW, BLOCK)
    assert verdicts(ignored_servers=["bad.org"], blocked_servers=["*"]) == (BLOCK, IGNORE)
    assert verdicts(allowed_users=[MALLORY], ignored_users=[MALLORY], blocked_users=[MALLORY]) == (ALLOW, ALLOW)


def test_a_user_is_decided_on_before_his_server() -> None:
    assert verdicts(allowed_users=[MALLORY], blocked_servers=["bad.org"]) == (ALLOW, ALLOW)
    assert verdicts(blocked_users=[ALICE], allowed_servers=["good.org"]) == (BLOCK, ALLOW)


def test_a_filter_can_be_switched_off() -> None:
    assert verdicts(enabled=False, blocked_servers=["*"]) == (ALLOW, ALLOW)


@pytest.mark.parametrize("junk", [None, 7, "x", [], {"blocked_users": 7}, {"blocked_users": [7, None, {}, ["*"]]}])
def test_junk_filters_nothing(junk: Any) -> None:
    assert read_filter({FILTER: junk, PERMISSION: junk}).verdict(MALLORY) is ALLOW


def test_thousands_of_clever_patterns_take_no_time() -> None:
    stars = ["*a" * 60 + f"{number}" for number in range(5_000)]
    wanted = read_filter({FILTER: {"blocked_users": stars, "ignored_users": [f"@u{n}:x" for n in range(20_000)]}})
    assert wanted.size == MAX_STARS // 60 + 20_000
    assert wanted.verdict("@" + "a" * 240 + ":bad.org") is ALLOW
    assert wanted.verdict("@u19999:x") is IGNORE
    many = read_filter({FILTER: {"blocked_servers": [f"*.s{number}.org" for number in range(1_000)]}})
    assert many.size == MAX_STARS
    assert read_filter({FILTER: {"blocked_users": ["@" + "x" * 300 + "*"]}}) == ALLOW_ALL
