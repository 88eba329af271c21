"""AES-256-GCM over a stream of any length, in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015).

    "VCB1" | salt (16 bytes) | chunk 0 | chunk 1 | ... | last chunk

Each chunk is 64 KiB of plaintext (the last one less, or none) with its 16 bytes of tag. The nonce is the chunk's number
and whether it is the last: chunks cannot be reordered, dropped or cut off without being noticed. Each file has a key of
its own, derived from the master key and the file's salt, so numbers can begin at zero every time.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"VCB1"
SALT_BYTES = 16
HEADER_BYTES = len(MAGIC) + SALT_BYTES
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_INFO = b"VoiceChat blob v1"


class DamagedBlob(Exception):  # noqa: N818
    """The stored bytes are not what was written: another key, a damaged disk, or somebody's hand."""


def _file_key(master_key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, _INFO).derive(master_key))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class Sealer:
    """Turns plaintext, in pieces of any size, into what is stored."""

    __slots__ = ("_key", "_number", "_pending", "header")

    def __init__(self, master_key: bytes, salt: bytes) -> None:
        self.header = MAGIC + salt
        self._key = _file_key(master_key, salt)
        self._number = 0
        self._pending = bytearray()

    def update(self, plaintext: bytes) -> bytes:
        """Whatever is complete by now; the rest waits, for it may be the last chunk."""
        self._pending += plaintext
        sealed = []
        while len(self._pending) > CHUNK_BYTES:
            sealed.append(self._seal(bytes(self._pending[:CHUNK_BYTES]), last=False))
            del self._pending[:CHUNK_BYTES]
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The last chunk."""
        return self._seal(bytes(self._pending), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._key.encrypt(_nonce(self._number, last), chunk, None)
        self._number += 1
        return sealed


class Opener:
    """The way back. Give it the header first, then the stored bytes; every piece it returns has been verified."""

    __slots__ = ("_key", "_number", "_pending")

    def __init__(self, master_key: bytes, header: bytes) -> None:
        if len(header) != HEADER_BYTES or not header.startswith(MAGIC):
            raise DamagedBlob("the file does not begin as our files do")
        self._key = _file_key(master_key, header[len(MAGIC) :])
        self._number = 0
        self._pending = bytearray()

    def update(self, stored: bytes) -> Iterator[bytes]:
        """Plaintext of the chunks that are complete and not the last. Raises DamagedBlob."""
        self._pending += stored
        while len(self._pending) > SEALED_CHUNK_BYTES:
            yield self._open(bytes(self._pending[:SEALED_CHUNK_BYTES]), last=False)
            del self._pending[:SEALED_CHUNK_BYTES]

    def finish(self) -> bytes:
        """Plaintext of the last chunk. Raises DamagedBlob where the end is missing."""
        return self._open(bytes(self._pending), last=True)

    def _open(self, chunk: bytes, *, last: bool) -> bytes:
        try:
            plaintext = self._key.decrypt(_nonce(self._number, last), chunk, None)
        except InvalidTag:
            raise DamagedBlob(f"chunk {self._number} is not what was written") from None
        self._number += 1
        return plaintext
