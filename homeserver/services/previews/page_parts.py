"""The parts of an HTML page that say what it is about."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from homeserver.services.previews.charsets import charset_of
from homeserver.services.programs import Program

READ_AT_ONCE: Final = 2
READER: Final = Program(Path(__file__).with_name("page_reader.py"), max_seconds=10.0, max_output_bytes=4 * 1024 * 1024)


class PageParts(msgspec.Struct, frozen=True):
    """As page_reader.py writes them: texts of strangers, neither tidied nor checked."""

    base: str = ""
    title: str = ""
    heading: str = ""
    metas: list[tuple[str, str]] = []
    """Name, in lower case, and content."""
    links: list[tuple[str, str, str]] = []
    """rel and type, in lower case, and href."""
    paragraphs: list[str] = []


@dataclass(frozen=True, slots=True)
class PageReader:
    """Few at a time: pages that are made to take long take a second of a processor each."""

    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READ_AT_ONCE))

    async def read(self, body: bytes, declared_charset: str | None) -> PageParts:
        """The parts of a page; none of one that takes too long to read."""
        async with self._at_once:
            output = await READER.run(body, charset_of(body, declared_charset))
        return msgspec.json.decode(output, type=PageParts) if output is not None else PageParts()
