"""Files at rest: what was written comes back, and nothing else ever does."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homeserver.protocol import errors
from homeserver.storage.blobs import disk
from homeserver.storage.blobs.cipher import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, DamagedBlob
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.blobs.master_key import MasterKeyError, load_or_make_master_key

NAME = "aaaaaaaaaaaaaaaa"


async def pieces(content: bytes, size: int = 7000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(blobs: DiskBlobs, name: str = NAME) -> bytes:
    return b"".join([piece async for piece in blobs.read(name)])


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobs:
    return DiskBlobs(tmp_path / "media", bytes(32))


def stored_file(tmp_path: Path) -> Path:
    (found,) = [path for path in (tmp_path / "media").rglob(NAME) if path.is_file()]
    return found


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES, 700_000])
async def test_any_length_comes_back_as_it_was(blobs: DiskBlobs, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    written = await blobs.write(NAME, pieces(content))
    assert written.size == size
    assert await read(blobs) == content


async def test_the_disk_never_sees_the_plaintext(blobs: DiskBlobs, tmp_path: Path) -> None:
    await blobs.write(NAME, pieces(b"Alice's secret " * 1000))
    assert b"secret" not in stored_file(tmp_path).read_bytes()


async def test_a_flipped_bit_is_noticed(blobs: DiskBlobs, tmp_path: Path) -> None:
    await blobs.write(NAME, pieces(b"x" * 1000))
    path = stored_file(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[HEADER_BYTES + 5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamagedBlob):
        await read(blobs)


async def test_chunks_cannot_be_cut_off_or_swapped(blobs: DiskBlobs, tmp_path: Path) -> None:
    await blobs.write(NAME, pieces(b"1" * CHUNK_BYTES + b"2" * CHUNK_BYTES + b"3"))
    path = stored_file(tmp_path)
    whole = path.read_bytes()
    first = whole[HEADER_BYTES : HEADER_BYTES + SEALED_CHUNK_BYTES]
    second = whole[HEADER_BYTES + SEALED_CHUNK_BYTES : HEADER_BYTES + 2 * SEALED_CHUNK_BYTES]
    for tampered in (
        whole[: HEADER_BYTES + 2 * SEALED_CHUNK_BYTES],
        whole[:HEADER_BYTES] + second + first + whole[HEADER_BYTES + 2 * SEALED_CHUNK_BYTES :],
        whole[:HEADER_BYTES],
    ):
        path.write_bytes(tampered)
        with pytest.raises(DamagedBlob):
            await read(blobs)


async def test_another_key_opens_nothing(blobs: DiskBlobs, tmp_path: Path) -> None:
    await blobs.write(NAME, pieces(b"x" * 1000))
    with pytest.raises(DamagedBlob):
        await read(DiskBlobs(tmp_path / "media", bytes([1]) * 32))


async def test_an_upload_that_breaks_off_leaves_nothing(blobs: DiskBlobs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.write(NAME, broken())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_full_disk_is_unavailable_and_leaves_nothing(
    blobs: DiskBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "_finish", full)
    with pytest.raises(errors.Unavailable):
        await blobs.write(NAME, pieces(b"x" * 100))
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    await blobs.write(NAME, pieces(b"x" * 100))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "..", "a" * 200, "aaaaaaa\0"])
async def test_names_cannot_leave_the_folder(blobs: DiskBlobs, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        await read(blobs, name)


def test_the_master_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "media.key"
    key = load_or_make_master_key(path)
    assert load_or_make_master_key(path) == key
    assert path.stat().st_mode & 0o077 == 0


def test_half_a_master_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "media.key"
    path.write_bytes(b"short")
    with pytest.raises(MasterKeyError):
        load_or_make_master_key(path)
