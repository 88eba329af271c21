"""multipart/mixed as it comes in: a part's headers, then its bytes. RFC 2046, section 5.1.

Everything but the wanted body has a limit, so that no preamble, header or part without an end is ever collected. What comes
after the body that was read is not looked at: thousands of further parts cost nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from homeserver.federation.errors import BadAnswer

MAX_SKIPPED_BYTES: Final = 64 * 1024
"""Before a part: the preamble, or a part that nobody reads."""
MAX_HEADER_BYTES: Final = 16 * 1024
LINE_BREAK: Final = b"\r\n"


class Mixed:
    """Parts are read in their order: `next_part`, then either its `body` or the next part."""

    __slots__ = ("_buffer", "_delimiter", "_pieces")

    def __init__(self, pieces: AsyncIterator[bytes], boundary: str) -> None:
        self._pieces = pieces
        self._delimiter = LINE_BREAK + b"--" + boundary.encode()
        # The line break before a delimiter belongs to it; at the very beginning there may be none.
        self._buffer = bytearray(LINE_BREAK)

    async def next_part(self) -> Mapping[str, str]:
        """Skip to the next part; its headers, names in lower case. Raises BadAnswer, also where there is none."""
        await self._skip()
        # From the end of the delimiter's line to the empty line: also a part without headers has both.
        head = await self._until(LINE_BREAK * 2, MAX_HEADER_BYTES)
        rest_of_delimiter, *lines = head.split(LINE_BREAK)
        if rest_of_delimiter.strip(b" \t"):
            raise BadAnswer("The other server's file has fewer parts than it must have")
        return _headers(lines)

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes up to the next delimiter. Raises BadAnswer where there is none."""
        held_back = len(self._delimiter) - 1
        while (end := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > held_back:
                yield bytes(self._buffer[:-held_back])
                del self._buffer[:-held_back]
            await self._more()
        if end:
            yield bytes(self._buffer[:end])
        del self._buffer[:end]

    async def _skip(self) -> None:
        """To behind the next delimiter."""
        await self._until(self._delimiter, MAX_SKIPPED_BYTES)

    async def _until(self, mark: bytes, limit: int) -> bytes:
        """What is before the mark, which is taken away too."""
        begin = 0
        while (end := self._buffer.find(mark, begin)) < 0:
            if len(self._buffer) > limit:
                raise BadAnswer("The other server's file is not in the form that was agreed on")
            begin = max(0, len(self._buffer) - len(mark) + 1)
            await self._more()
        if end > limit:
            raise BadAnswer("The other server's file is not in the form that was agreed on")
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    async def _more(self) -> None:
        piece = await anext(self._pieces, None)
        if piece is None:
            raise BadAnswer("The other server's file breaks off")
        self._buffer += piece


def _headers(lines: list[bytes]) -> dict[str, str]:
    """The first of each name counts."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(name.strip().lower().decode("latin-1"), value.strip().decode("utf-8", "replace"))
    return headers
