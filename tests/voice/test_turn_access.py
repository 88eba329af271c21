"""TURN servers as clients are told of them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from voice.turn import TurnAccess, TurnUri, read_turn_uri


@pytest.mark.parametrize(
    ("uri", "meaning"),
    [
        ("turn:turn.test", TurnUri("turn.test", 3478, "udp", False)),
        ("turn:turn.test:5000?transport=tcp", TurnUri("turn.test", 5000, "tcp", False)),
        ("turn:[2001:db8::1]:3478", TurnUri("2001:db8::1", 3478, "udp", False)),
        ("turns:turn.test", TurnUri("turn.test", 5349, "tcp", True)),
        ("turns:turn.test?transport=udp", TurnUri("turn.test", 5349, "udp", True)),
    ],
)
def test_uris_mean_what_rfc_7065_says(uri: str, meaning: TurnUri) -> None:
    assert read_turn_uri(uri) == meaning


@pytest.mark.parametrize(
    "uri",
    ["", "turn.test:3478", "stun:turn.test", "turn://turn.test", "turn:turn.test:0", "turn:turn.test:70000", "turn:a b",
     "turn:turn.test?transport=sctp", "turn:turn.test:３４７８"],
)  # fmt: skip
def test_anything_else_is_none(uri: str) -> None:
    assert read_turn_uri(uri) is None


def test_the_secret_is_not_shown_and_makes_what_coturn_computes() -> None:
    access = TurnAccess(("turn:turn.test",), "north wind", 3600)
    made = access.credentials("alice", 1_000.9)
    assert made.username == "4600:alice"
    assert base64.b64decode(made.password) == hmac.new(b"north wind", b"4600:alice", hashlib.sha1).digest()
    assert "north wind" not in repr(access)
    assert made.password not in repr(made)
