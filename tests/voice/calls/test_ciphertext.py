"""What our SFU gets to see of an encrypted call: ciphertext that opens with the callers' key, which it never has."""

from __future__ import annotations

import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from tests.voice.calls.telephone import caller, encryption, exchange, heard, humming, until
from voice.sfu.embedded.media.receiver import Receiver

PASSPHRASE = b"between Alice and Bob, and nobody's business"
SALT, ROUNDS, KEY_BYTES = b"LKFrameEncryptionKey", 100_000, 16
# LiveKit's frames of sound: one byte in the clear, ciphertext with its tag, the nonce, its length, the key's number.
CLEAR_BYTES, TRAILER_BYTES = 1, 2


def frame_key(passphrase: bytes) -> AESGCM:
    return AESGCM(PBKDF2HMAC(SHA256(), KEY_BYTES, SALT, ROUNDS).derive(passphrase))


def payload_of(packet: bytes) -> bytes:
    start = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        start += 4 + 4 * struct.unpack_from("!H", packet, start + 2)[0]
    return packet[start:]


def opened(payload: bytes, key: AESGCM) -> bytes:
    nonce_length = payload[-2]
    nonce = payload[-TRAILER_BYTES - nonce_length : -TRAILER_BYTES]
    return key.decrypt(
        nonce, payload[CLEAR_BYTES : -TRAILER_BYTES - nonce_length], payload[:CLEAR_BYTES]
    )  # fmt: skip


async def test_the_sfu_sees_ciphertext_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    original = Receiver.rtp

    def look(self: Receiver, packet: bytes) -> None:
        seen.append(packet)
        original(self, packet)

    monkeypatch.setattr(Receiver, "rtp", look)
    async with (
        exchange() as here,
        caller(here, "alice", encryption=encryption(PASSPHRASE)) as alice,
        caller(here, "bob", encryption=encryption(PASSPHRASE)) as bob,
        humming(alice),
    ):
        await until(lambda: "alice audio" in bob.tracks, "Alice's track")
        loudest, _ = await heard(bob.tracks["alice audio"])
        assert loudest == pytest.approx(997, abs=20), "the callers understand each other"

    payloads = [payload_of(packet) for packet in seen if len(payload_of(packet)) > 40]
    assert len(payloads) > 20
    key, guess = frame_key(PASSPHRASE), frame_key(b"what the operator might guess")
    for payload in payloads:
        sound = opened(payload, key)
        # Opened it is Opus, whose first byte (RFC 6716, 3.1) was in the clear; what the SFU saw is not that sound.
        assert sound not in payload
        with pytest.raises(InvalidTag):
            opened(payload, guess)
