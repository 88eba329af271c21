"""What names a policy server, and how its word is known."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.errors import InvalidSignature
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.policy_server import (
    KEY_ID,
    PolicyServer,
    is_checked,
    is_recommended,
    policy_server_of,
    with_recommendation,
)
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import SigningKey, sign_event

KEY = SigningKey.from_seed("policy_server", bytes(32))
VERSION = ROOM_VERSIONS["11"]
POLICY = PolicyServer("policy.example", KEY.verify_key)
PDU: dict[str, Any] = {
    "type": "m.room.message", "room_id": "!r:a.example", "sender": "@a:a.example", "content": {"body": "hello"},
    "origin_server_ts": 1, "depth": 2, "prev_events": [], "auth_events": [], "hashes": {"sha256": "x"},
    "signatures": {"policy.example": {"ed25519:1": "kept"}},
}  # fmt: skip


def test_the_state_names_the_server_and_its_key_in_either_alphabet() -> None:
    for key in (encode_base64(KEY.verify_key), encode_base64(KEY.verify_key).replace("+", "-").replace("/", "_")):
        assert policy_server_of({"via": "policy.example", "public_keys": {"ed25519": key, "other": 5}}) == POLICY


@pytest.mark.parametrize(
    "content",
    [{}, {"via": "policy.example"}, {"via": 1, "public_keys": {"ed25519": "x"}}, {"via": "a", "public_keys": []},
     {"via": "a", "public_keys": {"ed25519": "AAAA"}}, {"via": "a", "public_keys": {"ed25519": "*" * 43}},
     {"via": "", "public_keys": {"ed25519": encode_base64(KEY.verify_key)}}],
)  # fmt: skip
def test_anything_else_names_none(content: dict[str, Any]) -> None:
    assert policy_server_of(content) is None


def test_only_what_names_it_is_not_checked() -> None:
    assert not is_checked("m.room.policy", "")
    assert is_checked("m.room.policy", "x")
    assert is_checked("m.room.policy", None)
    assert is_checked("m.room.member", "@a:a.example")


def test_its_signature_is_added_to_those_that_are_there() -> None:
    answer = sign_event({**PDU, "signatures": {}}, VERSION, POLICY.name, KEY)["signatures"]
    signed = with_recommendation(PDU, VERSION, POLICY, answer)
    assert signed["signatures"][POLICY.name]["ed25519:1"] == "kept"
    assert is_recommended(signed, VERSION, POLICY)
    assert not is_recommended(PDU, VERSION, POLICY)
    assert not is_recommended({**signed, "sender": "@b:a.example"}, VERSION, POLICY)


@pytest.mark.parametrize(
    "answer",
    [{}, {POLICY.name: 1}, {POLICY.name: {KEY_ID: None}}, {POLICY.name: {KEY_ID: "A" * 86}}, {"x": {KEY_ID: "A"}}],
)
def test_what_does_not_fit_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        with_recommendation(PDU, VERSION, POLICY, answer)
