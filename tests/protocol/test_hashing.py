"""Content hashes, reference hashes and event ids per room version."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from homeserver.protocol.errors import InvalidEvent
from homeserver.protocol.hashing import (
    content_hash,
    decode_base64,
    encode_base64,
    encode_base64_url,
    event_id_of,
    has_valid_content_hash,
    reference_hash,
    referenced_bytes,
    room_id_of_create_event,
)
from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import ROOM_VERSIONS, V1, V3, V4, V11, RoomVersion
from tests.protocol.factory import ALICE

EVENT: dict[str, Any] = {
    "type": "m.room.message",
    "sender": ALICE,
    "room_id": "!room:example.org",
    "content": {"body": "hello"},
    "origin_server_ts": 1,
    "depth": 2,
    "prev_events": ["$a"],
    "auth_events": ["$b"],
    "hashes": {"sha256": "x"},
    "signatures": {"example.org": {"ed25519:1": "y"}},
    "unsigned": {"age": 3},
}


@pytest.fixture(params=ROOM_VERSIONS.values(), ids=str)
def version(request: pytest.FixtureRequest) -> RoomVersion:
    """Every room version."""
    chosen: RoomVersion = request.param
    return chosen


def with_hash(event: dict[str, Any], version: RoomVersion) -> dict[str, Any]:
    return {**event, "hashes": {"sha256": encode_base64(content_hash(event, version))}}


# Appendices, "Unpadded Base64".
BASE64_VECTORS = [
    (b"", ""),
    (b"f", "Zg"),
    (b"fo", "Zm8"),
    (b"foo", "Zm9v"),
    (b"foob", "Zm9vYg"),
    (b"fooba", "Zm9vYmE"),
    (b"foobar", "Zm9vYmFy"),
]


@pytest.mark.parametrize(("data", "text"), BASE64_VECTORS)
def test_base64_of_the_spec(data: bytes, text: str) -> None:
    assert encode_base64(data) == text
    assert encode_base64_url(data) == text
    assert decode_base64(text) == data


def test_base64_is_read_in_both_alphabets_and_with_padding() -> None:
    data = b"\xfb\xff\xfe"
    assert encode_base64(data) == "+//+"
    assert encode_base64_url(data) == "-__-"
    assert decode_base64("-__-") == decode_base64("+//+") == data
    assert decode_base64("Zg==") == b"f"


@pytest.mark.parametrize("text", ["!", "a", "Zg\n", "ä", "Z=g"])
def test_what_is_no_base64_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        decode_base64(text)


def test_the_content_hash_covers_all_but_hashes_signatures_and_unsigned(version: RoomVersion) -> None:
    hashed = with_hash(EVENT, version)
    assert has_valid_content_hash({**hashed, "signatures": {}, "unsigned": {}}, version)
    for key in ("content", "type", "depth", "anything_else"):
        assert not has_valid_content_hash({**hashed, key: {"changed": True}}, version), key


@pytest.mark.parametrize("hashes", [None, {}, {"sha256": 5}, {"sha256": "!"}, {"sha256": ""}, []])
def test_a_missing_or_broken_hash_fits_nothing(hashes: object) -> None:
    assert not has_valid_content_hash({**EVENT, "hashes": hashes}, V11)


def test_the_reference_hash_survives_redaction_and_new_signatures(version: RoomVersion) -> None:
    reference = reference_hash(EVENT, version)
    assert reference_hash(redact(EVENT, version), version) == reference
    assert reference_hash({**EVENT, "signatures": {}, "unsigned": {"age_ts": 9}}, version) == reference
    assert reference_hash({**EVENT, "depth": 3}, version) != reference


def test_the_encoding_of_an_event_known_to_be_good_is_the_same(version: RoomVersion) -> None:
    assert referenced_bytes(EVENT, version, checked=True) == referenced_bytes(EVENT, version)


def test_event_ids_are_chosen_then_base64_then_url_safe() -> None:
    # A hash with both of the characters that differ between the alphabets.
    event = next(
        candidate
        for number in range(10_000)
        if {"+", "/"} <= set(encode_base64(reference_hash(candidate := {**EVENT, "depth": number}, V4)))
    )
    digest = hashlib.sha256(referenced_bytes(event, V4)).digest()
    assert event_id_of({**event, "event_id": "$mine:example.org"}, V1) == "$mine:example.org"
    assert event_id_of(event, V3) == "$" + encode_base64(digest)
    assert event_id_of(event, V4) == "$" + encode_base64_url(digest)
    assert event_id_of(event, V4) == event_id_of(event, V3).replace("+", "-").replace("/", "_")


@pytest.mark.parametrize("event_id", [None, 5, {}])
def test_an_event_of_an_old_room_without_an_id_is_invalid(event_id: object) -> None:
    with pytest.raises(InvalidEvent):
        event_id_of({**EVENT, "event_id": event_id}, V1)


def test_a_room_is_named_after_its_create_event() -> None:
    assert room_id_of_create_event("$abc") == "!abc"
