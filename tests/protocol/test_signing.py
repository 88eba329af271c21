"""Signatures: the test vectors of the appendices, checking, and key files."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.errors import InvalidSignature
from homeserver.protocol.hashing import content_hash, decode_base64, encode_base64
from homeserver.protocol.room_versions import V1, V8, V11
from homeserver.protocol.signing import (
    SigningKey,
    format_signing_keys,
    parse_signing_keys,
    servers_that_must_sign,
    sign_event,
    sign_json,
    signature_key_ids,
    verify_event,
    verify_json,
)
from tests.protocol.factory import ALICE, BOB, CHARLIE

# Appendices, "Cryptographic Test Vectors".
KEY = SigningKey.from_seed("1", decode_base64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"))
EMPTY_SIGNATURE = "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"
DATA_SIGNATURE = "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"

MINIMAL_EVENT: dict[str, Any] = {
    "room_id": "!x:domain",
    "sender": "@a:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "signatures": {},
    "hashes": {},
    "type": "X",
    "content": {},
    "prev_events": [],
    "auth_events": [],
    "depth": 3,
    "unsigned": {"age_ts": 1000000},
}
REDACTABLE_EVENT: dict[str, Any] = {
    "content": {"body": "Here is the message content"},
    "event_id": "$0:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "type": "m.room.message",
    "room_id": "!r:domain",
    "sender": "@u:domain",
    "signatures": {},
    "unsigned": {"age_ts": 1000000},
}
EVENT_VECTORS = [
    (
        MINIMAL_EVENT,
        "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
        "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
    ),
    (
        REDACTABLE_EVENT,
        "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
        "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
    ),
]


@pytest.mark.parametrize(
    ("value", "signature"), [({}, EMPTY_SIGNATURE), ({"one": 1, "two": "Two"}, DATA_SIGNATURE)], ids=["empty", "data"]
)
def test_json_is_signed_as_in_the_spec(value: dict[str, Any], signature: str) -> None:
    signed = sign_json(value, "domain", KEY)
    assert signed == {**value, "signatures": {"domain": {"ed25519:1": signature}}}
    verify_json(signed, "domain", "ed25519:1", KEY.verify_key)


@pytest.mark.parametrize(("event", "sha256", "signature"), EVENT_VECTORS, ids=["minimal", "redactable"])
def test_events_are_hashed_and_signed_as_in_the_spec(event: dict[str, Any], sha256: str, signature: str) -> None:
    hashed = {**event, "hashes": {"sha256": encode_base64(content_hash(event, V1))}}
    signed = sign_event(hashed, V1, "domain", KEY)
    assert signed == {
        **event,
        "hashes": {"sha256": sha256},
        "signatures": {"domain": {"ed25519:1": signature}},
    }
    verify_event(signed, V1, "domain", "ed25519:1", KEY.verify_key)


def test_a_second_server_signs_without_taking_the_first_signature_away() -> None:
    other = SigningKey.from_seed("b", b"\1" * 32)
    signed = sign_json(sign_json({"one": 1}, "domain", KEY), "other", other)
    verify_json(signed, "domain", "ed25519:1", KEY.verify_key)
    verify_json(signed, "other", "ed25519:b", other.verify_key)


def test_unsigned_is_not_signed_and_kept() -> None:
    signed = sign_json({"unsigned": {"age": 1}}, "domain", KEY)
    assert signed["unsigned"] == {"age": 1}
    assert signed["signatures"]["domain"]["ed25519:1"] == EMPTY_SIGNATURE


def test_redaction_does_not_break_the_signature_of_an_event() -> None:
    signed = sign_event({**REDACTABLE_EVENT, "hashes": {"sha256": "x"}}, V1, "domain", KEY)
    verify_event({**signed, "content": {}}, V1, "domain", "ed25519:1", KEY.verify_key)


@pytest.mark.parametrize(
    "change",
    [
        {"one": 2},
        {"signatures": {}},
        {"signatures": None},
        {"signatures": {"domain": {}}},
        {"signatures": {"domain": {"ed25519:1": 5}}},
        {"signatures": {"domain": {"ed25519:1": "not base64!"}}},
        {"signatures": {"domain": {"ed25519:1": "AAAA"}}},
        {"signatures": {"domain": {"ed25519:1": EMPTY_SIGNATURE}}},
        {"signatures": {"other": {"ed25519:1": DATA_SIGNATURE}}},
    ],
)
def test_mallory_changes_what_was_signed(change: dict[str, Any]) -> None:
    signed = {**sign_json({"one": 1, "two": "Two"}, "domain", KEY), **change}
    with pytest.raises(InvalidSignature):
        verify_json(signed, "domain", "ed25519:1", KEY.verify_key)


def test_another_key_of_the_same_id_does_not_verify() -> None:
    signed = sign_json({"one": 1}, "domain", KEY)
    with pytest.raises(InvalidSignature):
        verify_json(signed, "domain", "ed25519:1", SigningKey.from_seed("1", b"\1" * 32).verify_key)


def test_only_ed25519_keys_are_looked_at() -> None:
    value = {"signatures": {"domain": {"ed25519:1": "x", "rsa:1": "y"}}}
    assert signature_key_ids(value, "domain") == ["ed25519:1"]
    assert signature_key_ids(value, "other") == []


def test_secrets_do_not_show() -> None:
    assert encode_base64(KEY.seed) not in repr(KEY)
    assert repr(KEY.seed) not in repr(KEY)


# --- Who must sign ------------------------------------------------------------------------------------------------


def test_the_senders_server_must_sign_and_in_v1_that_of_the_event_id() -> None:
    event = {"type": "m.room.message", "sender": ALICE, "event_id": "$1:first.example", "content": {}}
    assert servers_that_must_sign(event, V11) == {"example.org"}
    assert servers_that_must_sign(event, V1) == {"example.org", "first.example"}


def test_a_third_party_invite_is_made_by_the_invited_server() -> None:
    content = {"membership": "invite", "third_party_invite": {}}
    event = {"type": "m.room.member", "sender": ALICE, "state_key": BOB, "content": content}
    assert servers_that_must_sign(event, V11) == set()
    assert servers_that_must_sign({**event, "type": "m.room.message"}, V11) == {"example.org"}


def test_who_authorises_a_restricted_join_signs_it_since_v8() -> None:
    content = {"membership": "join", "join_authorised_via_users_server": CHARLIE}
    event = {"type": "m.room.member", "sender": ALICE, "event_id": "$1:example.org", "content": content}
    assert servers_that_must_sign(event, V8) == {"example.org", "elsewhere.example"}
    assert servers_that_must_sign(event, V1) == {"example.org"}


# --- Key files ----------------------------------------------------------------------------------------------------


def test_key_files_are_read_as_written() -> None:
    text = "# a comment\n\n" + format_signing_keys([KEY, SigningKey.from_seed("a_2", b"\2" * 32)])
    keys = parse_signing_keys(text)
    assert [key.key_id for key in keys] == ["ed25519:1", "ed25519:a_2"]
    assert keys[0] == KEY


@pytest.mark.parametrize(
    "line", ["ed25519 1", "rsa 1 AAAA", "ed25519 1 AAAA", "ed25519 a-b " + "A" * 43, "ed25519 1 !"]
)
def test_a_broken_key_file_names_the_line_but_not_the_secret(line: str) -> None:
    with pytest.raises(ValueError, match="Line 2 of the signing key file") as caught:
        parse_signing_keys("# keys\n" + line)
    assert "A" * 43 not in str(caught.value)
