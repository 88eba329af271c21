"""Passwords that others have lost already: lists of their SHA-1, in a file or behind a range API.

Both are as Have I Been Pwned gives them out: lines "SHA1:COUNT" in the order of the hashes. The API is asked with the
first five digits of a hash only ("k-anonymity"), which those of about a thousand passwords have in common.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

SHA1_DIGITS: Final = 40
PREFIX_DIGITS: Final = 5
MAX_LINE_BYTES: Final = 200

_LINE: Final = re.compile(rb"[0-9A-Fa-f]{40}(:\d+)?\s*")

log = logging.getLogger(__name__)


class AskRange(Protocol):
    """federation/breached_ranges.py."""

    async def __call__(self, prefix: str) -> str | None:
        """Lines "SUFFIX:COUNT" of all hashes that begin so; None where nobody answers."""
        ...


@dataclass(frozen=True, slots=True)
class BreachedInFile:
    """A sorted file, searched by halves: a list of a billion takes thirty reads."""

    path: Path

    def check_file(self) -> None:
        """At the start. Raises OSError; ValueError where it is no such list."""
        with self.path.open("rb") as file:
            if not _LINE.fullmatch(file.readline(MAX_LINE_BYTES)):
                raise ValueError("it does not begin with a SHA-1 in hexadecimal digits, as sorted lists of them do")

    async def __call__(self, password: str) -> bool:
        try:
            return await asyncio.to_thread(self._contains, _digest(password).encode())
        except OSError as error:
            log.warning("the list of breached passwords cannot be read: %s", error)
            return False

    def _contains(self, wanted: bytes) -> bool:
        with self.path.open("rb") as file:
            low, high = 0, file.seek(0, 2)
            while low < high:
                start, line = _line_at(file, (low + high) // 2)
                found = line[:SHA1_DIGITS].upper()
                if not line or start >= high or found > wanted:
                    high = (low + high) // 2
                elif found == wanted:
                    return True
                else:
                    low = start + len(line)
        return False


@dataclass(frozen=True, slots=True)
class BreachedInRanges:
    """A range API. While it is away, every password passes."""

    ask: AskRange

    async def __call__(self, password: str) -> bool:
        digest = _digest(password)
        lines = await self.ask(digest[:PREFIX_DIGITS])
        if lines is None:
            return False
        wanted = digest[PREFIX_DIGITS:]
        for line in lines.splitlines():
            suffix, _, count = line.strip().partition(":")
            # Those that never occurred are there to hide how long the answer is ("Add-Padding").
            if suffix.upper() == wanted and count.strip() != "0":
                return True
        return False


def _digest(password: str) -> str:
    """Not to keep it: to look it up in lists that are made so."""
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def _line_at(file: BinaryIO, offset: int) -> tuple[int, bytes]:
    """The first whole line that begins at `offset` or behind it, and where it begins."""
    file.seek(max(0, offset - 1))
    if offset:
        file.readline()
    return file.tell(), file.readline(MAX_LINE_BYTES)
