"""Compressed answers, which can be a thousand times as large as what comes over the wire. RFC 9110, section 8.4.1."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Final

from homeserver.protocol.errors import BadGateway

ACCEPTED: Final = "gzip"
PIECE_BYTES: Final = 64 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16
_PLAIN: Final = ("", "identity")
_PACKED: Final = ("gzip", "x-gzip")


async def unpacked(pieces: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """What the pieces hold, never more than 64 KiB at once: whoever reads stops when he has enough.

    Raises BadGateway for a coding that was not asked for, and for what is not packed in it.
    """
    coding = coding.strip().lower()
    if coding in _PLAIN:
        async for piece in pieces:
            yield piece
    elif coding in _PACKED:
        async for piece in _inflated(pieces):
            yield piece
    else:
        raise BadGateway("The page is compressed in a way that was not asked for")


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    stream = zlib.decompressobj(_GZIP)
    try:
        async for piece in pieces:
            while piece:
                plain = stream.decompress(piece, PIECE_BYTES)
                if plain:
                    yield plain
                piece = stream.unconsumed_tail
            if stream.eof:
                return
        yield stream.flush()  # what it held back, less than a window of 32 KiB
    except zlib.error:
        raise BadGateway("The page is not compressed as it says") from None
