"""Blobs as files: `<folder>/ab/cd/abcd...`. Work on the disk happens in threads, a few hundred kilobytes at a time."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from homeserver.protocol import errors
from homeserver.storage.blobs.cipher import HEADER_BYTES, SALT_BYTES, SEALED_CHUNK_BYTES, Opener, Sealer

T = TypeVar("T")

# Enough for each hop into a thread to be worth it.
BATCH_BYTES = 4 * SEALED_CHUNK_BYTES
_NAME = re.compile(r"[A-Za-z0-9_-]{8,100}")
_OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


@dataclass(frozen=True, slots=True)
class Written:
    """What went into a blob."""

    size: int
    sha256: bytes


class DiskBlobs:
    """A folder of encrypted files. Names are letters, digits, `_` and `-`: nothing that could leave the folder."""

    __slots__ = ("_folder", "_master_key")

    def __init__(self, folder: Path, master_key: bytes) -> None:
        self._folder = folder
        self._master_key = master_key

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError("not a name of a blob")
        # The hash spreads names that begin alike.
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self._folder / digest[:2] / digest[2:4] / name

    async def write(self, name: str, pieces: AsyncIterator[bytes]) -> Written:
        """Store a blob durably; nothing is left of one that breaks off. Raises Unavailable where the disk is full."""
        path = self._path(name)
        aside = self._folder / "incoming" / f"{name}.{secrets.token_hex(4)}"
        try:
            return await self._write(path, aside, pieces)
        except OSError as error:
            if error.errno in _OUT_OF_SPACE:
                raise errors.Unavailable("The server cannot store files at the moment") from error
            raise
        finally:
            await asyncio.to_thread(aside.unlink, missing_ok=True)

    async def _write(self, path: Path, aside: Path, pieces: AsyncIterator[bytes]) -> Written:
        sealer = Sealer(self._master_key, secrets.token_bytes(SALT_BYTES))
        digest = hashlib.sha256()
        size = 0
        batch = bytearray()
        file = await asyncio.to_thread(_open_new, aside, sealer.header)
        try:
            async for piece in pieces:
                size += len(piece)
                batch += piece
                if len(batch) >= BATCH_BYTES:
                    await asyncio.to_thread(_append, file, sealer.update, digest.update, bytes(batch))
                    batch.clear()
            await asyncio.to_thread(_append, file, sealer.update, digest.update, bytes(batch))
            await asyncio.to_thread(_finish, file, sealer.finish(), aside, path)
        finally:
            await asyncio.to_thread(file.close)
        return Written(size, digest.digest())

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """The blob in pieces, each verified before it is handed out. Raises NotFound, DamagedBlob."""
        try:
            file = await asyncio.to_thread(self._path(name).open, "rb")
        except FileNotFoundError:
            raise errors.NotFound("The file is gone") from None
        try:
            header, stored = await asyncio.to_thread(lambda: (file.read(HEADER_BYTES), file.read(BATCH_BYTES)))
            opener = Opener(self._master_key, header)
            while stored:
                plaintext, stored = await asyncio.to_thread(_open_and_read_on, opener, stored, file)
                if plaintext:
                    yield plaintext
            if last := opener.finish():
                yield last
        finally:
            await asyncio.to_thread(file.close)

    async def delete(self, name: str) -> None:
        """Remove a blob; one that does not exist is no error."""
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)


def _open_new(path: Path, header: bytes) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("xb")
    file.write(header)
    return file


def _append(
    file: IO[bytes], seal: Callable[[bytes], bytes], take_in: Callable[[bytes], None], plaintext: bytes
) -> None:
    take_in(plaintext)
    file.write(seal(plaintext))


def _finish(file: IO[bytes], last: bytes, aside: Path, path: Path) -> None:
    """Contents before name, name before answer: what was acknowledged survives a power cut."""
    file.write(last)
    file.flush()
    os.fsync(file.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.replace(path)
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open_and_read_on(opener: Opener, stored: bytes, file: IO[bytes]) -> tuple[bytes, bytes]:
    return b"".join(opener.update(stored)), file.read(BATCH_BYTES)
