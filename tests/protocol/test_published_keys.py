"""The form of published keys, and signatures between them, judged by what PyNaCl signs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeserver.protocol.encryption.cross_signing_keys import (
    SigningIdentity,
    check_same_key,
    check_signed,
    cross_signer,
    parse_cross_signing_key,
)
from homeserver.protocol.encryption.device_keys import check_device_keys, ed25519_key_of, merge_device_keys
from homeserver.protocol.encryption.key_objects import split_key_name, stored_form, with_signatures
from homeserver.protocol.encryption.one_time_keys import is_same_key, parse_fallback_keys, parse_one_time_keys
from homeserver.protocol.errors import InvalidParam, InvalidSignature
from tests.signers import CrossSigner, DeviceSigner, Signer, canonical

ALICE = "@alice:test"


@pytest.mark.parametrize(
    "name, parts",
    [
        ("ed25519:ABC", ("ed25519", "ABC")),
        ("signed_curve25519:AAAAHg", ("signed_curve25519", "AAAAHg")),
        ("a:b:c", ("a", "b:c")),
    ],
)
def test_names_of_keys(name: str, parts: tuple[str, str]) -> None:
    assert split_key_name(name) == parts


@pytest.mark.parametrize("name", ["", ":", "a:", ":b", "ab", "a:" + "ü" * 130])
def test_what_is_no_name_of_a_key(name: str) -> None:
    with pytest.raises(InvalidParam):
        split_key_name(name)


def test_a_signature_is_right_only_for_what_was_signed() -> None:
    alice = CrossSigner(ALICE)
    key = alice.key("self_signing")
    master = cross_signer(ALICE, alice.master.public)
    assert check_signed(key, master) == key["signatures"][ALICE][alice.master.key_id]
    assert check_signed({**key, "unsigned": {"age": 1}}, master)
    for wrong in (
        {**key, "usage": ["user_signing"]},
        {**key, "signatures": {}},
        {**key, "signatures": {ALICE: {alice.master.key_id: "AAAA"}}},
        {**key, "signatures": {ALICE: {alice.master.key_id: 5}}},
        {**key, "signatures": {"@bob:test": key["signatures"][ALICE]}},
        {**key, "signatures": []},
    ):
        with pytest.raises(InvalidSignature):
            check_signed(wrong, master)


def test_a_signer_whose_key_is_no_key_has_signed_nothing() -> None:
    key = CrossSigner(ALICE).key("self_signing")
    with pytest.raises(InvalidSignature):
        check_signed(key, SigningIdentity(ALICE, "ed25519:DEVICE", "not a key"))


def test_unicode_is_signed_as_it_is_written() -> None:
    signer = Signer(ALICE, "DEVICE")
    signed = signer.sign({"name": "Zoë ✓ \u2028", "n": 5, "nested": {"b": [True, None], "a": ""}})
    assert check_signed(signed, SigningIdentity(ALICE, signer.key_id, signer.public))


def test_the_public_key_of_a_cross_signing_key() -> None:
    alice = CrossSigner(ALICE)
    assert parse_cross_signing_key(alice.key("master"), ALICE, "master") == alice.master.public
    with pytest.raises(InvalidParam):
        parse_cross_signing_key(alice.key("master"), "@mallory:test", "master")


def test_the_same_keys_keep_their_signatures_and_others_do_not() -> None:
    device, signer = DeviceSigner(ALICE, "DEVICE"), Signer(ALICE)
    plain = check_device_keys(device.device_keys(), ALICE, "DEVICE")
    crossed = signer.sign(plain)
    assert merge_device_keys(None, plain) == plain
    assert merge_device_keys(crossed, plain) == crossed
    assert merge_device_keys(plain, crossed) == crossed
    changed = device.device_keys(algorithms=[])
    assert merge_device_keys(crossed, changed) == changed
    assert ed25519_key_of(plain, "DEVICE") == device.public
    assert ed25519_key_of(plain, "OTHER") is None


def test_what_is_stored_is_canonical_and_has_no_unsigned() -> None:
    keys = DeviceSigner(ALICE, "DEVICE").device_keys()
    stored = stored_form({**keys, "unsigned": {"age": 5}})
    assert json.loads(stored) == keys
    assert canonical(json.loads(stored)) == canonical(keys)


def test_adding_signatures_leaves_the_original_alone() -> None:
    key: dict[str, Any] = {"a": 1, "signatures": {ALICE: {"ed25519:A": "x"}}}
    added = with_signatures(key, ALICE, {"ed25519:B": "y"})
    assert added["signatures"] == {ALICE: {"ed25519:A": "x", "ed25519:B": "y"}}
    assert key["signatures"] == {ALICE: {"ed25519:A": "x"}}
    assert with_signatures(key, ALICE, {}) is key


def test_a_key_is_the_same_whoever_signed_it() -> None:
    key = CrossSigner(ALICE).key("master")
    check_same_key(Signer(ALICE, "DEVICE").sign(key), key)
    for other in ({**key, "usage": []}, {**key, "extra": 0.5}):
        with pytest.raises(InvalidParam):
            check_same_key(other, key)


def test_one_time_keys_are_the_same_but_for_signatures() -> None:
    device = DeviceSigner(ALICE, "DEVICE")
    (one,) = parse_one_time_keys({"signed_curve25519:A": device.one_time_key(1)})
    (again,) = parse_one_time_keys({"signed_curve25519:A": DeviceSigner(ALICE, "DEVICE").one_time_key(1)})
    (other,) = parse_one_time_keys({"signed_curve25519:A": device.one_time_key(2)})
    (text,) = parse_one_time_keys({"curve25519:A": "text"})
    assert one.key != again.key
    assert is_same_key(one.key, again.key)
    assert not is_same_key(one.key, other.key)
    assert not is_same_key(one.key, text.key)
    assert is_same_key(text.key, text.key)


def test_one_fallback_key_an_algorithm() -> None:
    assert len(parse_fallback_keys({"a:1": "x", "b:1": "y"})) == 2
    with pytest.raises(InvalidParam):
        parse_fallback_keys({"a:1": "x", "a:2": "y"})
