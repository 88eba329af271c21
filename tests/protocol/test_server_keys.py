"""The document in which a server publishes its keys."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.errors import BadJson, InvalidSignature
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.server_keys import DAY_MS, MAX_KEYS, publish_keys, read_published_keys
from homeserver.protocol.signing import sign_json
from tests.clock import START_MS
from tests.federation.peers import key_document, signing_key

NEW, OLD = signing_key(1, "new"), signing_key(2, "old")


def test_what_we_publish_others_can_read() -> None:
    published = read_published_keys(publish_keys("us.example", NEW, START_MS + DAY_MS), "us.example", START_MS)
    assert published.keys["ed25519:new"].verify_key == NEW.verify_key
    assert published.keys["ed25519:new"].usable_until_ms == START_MS + DAY_MS


def test_nobody_is_believed_for_longer_than_seven_days() -> None:
    document = key_document("peer.example", NEW, valid_until_ms=START_MS + 1000 * DAY_MS)
    published = read_published_keys(document, "peer.example", START_MS)
    assert published.keys["ed25519:new"].usable_until_ms == START_MS + 7 * DAY_MS
    assert published.valid_until_ms == START_MS + 1000 * DAY_MS


@pytest.mark.parametrize(("expired_ms", "until_ms"), [(START_MS - 5, START_MS - 5), (START_MS + DAY_MS, START_MS)])
def test_an_old_key_signs_nothing_new(expired_ms: int, until_ms: int) -> None:
    old = {OLD.key_id: {"key": encode_base64(OLD.verify_key), "expired_ts": expired_ms}}
    published = read_published_keys(
        key_document("peer.example", NEW, old_verify_keys=old), "peer.example", START_MS
    )  # fmt: skip
    key = published.keys["ed25519:old"]
    assert key.usable_until_ms == until_ms
    assert key.is_usable_at(until_ms)
    assert not key.is_usable_at(until_ms + 1)


def test_a_current_key_must_have_signed_it() -> None:
    document = key_document("peer.example", NEW)
    with pytest.raises(InvalidSignature):
        read_published_keys({**document, "valid_until_ts": START_MS + 1}, "peer.example", START_MS)
    with pytest.raises(InvalidSignature):
        read_published_keys({**document, "signatures": {}}, "peer.example", START_MS)
    # Mallory, who has stolen a key that was given up, publishes a new one with it.
    mallory = signing_key(66, "mallory")
    forged = {key: value for key, value in document.items() if key != "signatures"}
    forged["verify_keys"] = {mallory.key_id: {"key": encode_base64(mallory.verify_key)}}
    forged["old_verify_keys"] = {OLD.key_id: {"key": encode_base64(OLD.verify_key), "expired_ts": START_MS}}
    with pytest.raises(InvalidSignature):
        read_published_keys(sign_json(forged, "peer.example", OLD), "peer.example", START_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"server_name": "other.example"},
        {"valid_until_ts": None},
        {"valid_until_ts": -1},
        {"valid_until_ts": True},
        {"verify_keys": []},
        {"verify_keys": {"ed25519:x": "text"}},
        {"verify_keys": {"ed25519:x": {}}},
        {"verify_keys": {"ed25519:x": {"key": 7}}},
        {"verify_keys": {"ed25519:x": {"key": "AAAA"}}},
        {"verify_keys": {f"ed25519:{number}": {"key": "A" * 43} for number in range(MAX_KEYS + 1)}},
        {"old_verify_keys": {OLD.key_id: {"key": encode_base64(OLD.verify_key)}}},
    ],
)
def test_what_is_no_such_document_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((BadJson, InvalidSignature)):
        read_published_keys(key_document("peer.example", NEW, **changes), "peer.example", START_MS)


def test_other_algorithms_are_left_out() -> None:
    keys = {"ed25519:new": {"key": encode_base64(NEW.verify_key)}, "rsa:1": 7, "ed25519:spa ce": 7}
    published = read_published_keys(key_document("peer.example", NEW, verify_keys=keys), "peer.example", START_MS)
    assert list(published.keys) == ["ed25519:new"]
