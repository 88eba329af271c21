"""Removed people do not come back with a token they had before."""

from __future__ import annotations

from voice.sfu.embedded.rooms.revocations import Revocations

HOUR = 3_600_000
NOW = 1_700_000_000_500


def test_tokens_of_before_are_void_and_newer_ones_are_not() -> None:
    revocations = Revocations(6 * HOUR, 100)
    revocations.revoke("kitchen", "mallory", NOW)

    assert revocations.is_void("kitchen", "mallory", (NOW - 1) / 1000)
    assert revocations.is_void("kitchen", "mallory", NOW / 1000)
    assert not revocations.is_void("kitchen", "mallory", (NOW + 2) / 1000)
    assert not revocations.is_void("kitchen", "alice", NOW / 1000)
    assert not revocations.is_void("cellar", "mallory", NOW / 1000)


def test_a_token_that_names_whole_seconds_is_void_when_it_could_be_of_before() -> None:
    revocations = Revocations(6 * HOUR, 100)
    revocations.revoke("kitchen", "mallory", NOW)

    assert revocations.is_void("kitchen", "mallory", NOW // 1000)
    assert not revocations.is_void("kitchen", "mallory", NOW // 1000 + 1)


def test_they_are_forgotten_when_no_such_token_can_be_valid_any_more() -> None:
    revocations = Revocations(6 * HOUR, 100)
    revocations.revoke("kitchen", "mallory", NOW)
    revocations.revoke("kitchen", "bob", NOW + 7 * HOUR)

    assert not revocations.is_void("kitchen", "mallory", NOW / 1000)
    assert revocations.is_void("kitchen", "bob", NOW / 1000)


def test_there_is_a_limit_and_the_oldest_go_first() -> None:
    revocations = Revocations(6 * HOUR, 2)
    for identity in ("a", "b", "a", "c"):
        revocations.revoke("kitchen", identity, NOW)

    assert [revocations.is_void("kitchen", identity, 0) for identity in "abc"] == [True, False, True]
