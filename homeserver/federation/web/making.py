"""From an address to a preview: the page, what it says elsewhere (oEmbed), and its picture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final

from yarl import URL

from homeserver.federation.web.pages import OpenPage, WebPages
from homeserver.protocol.errors import BadGateway, MatrixError
from homeserver.services.previews.facts import PageFacts, facts_of, fill_in
from homeserver.services.previews.oembed import add_oembed
from homeserver.services.previews.page_parts import PageReader
from homeserver.services.previews.pictures import KeptPicture, PreviewPictures
from homeserver.services.previews.urls import file_name_of

HTML: Final = ("text/html", "application/xhtml+xml")
JSON: Final = ("application/json", "text/json", "application/json+oembed")
TEXT: Final = "text/plain"
MAX_OEMBED_BYTES: Final = 256 * 1024
MAX_TEXT_BYTES: Final = 4096
ACCEPT_PAGE: Final = "text/html,application/xhtml+xml;q=0.9,image/*;q=0.8,*/*;q=0.1"
ACCEPT_PICTURE: Final = "image/png,image/jpeg,image/webp,image/gif"


@dataclass(frozen=True, slots=True)
class Preview:
    """`facts` is the answer to clients; `picture` the media id of its picture."""

    facts: dict[str, Any]
    picture: str | None


@dataclass(frozen=True, slots=True)
class PreviewMaker:
    """`timeout_ms` for each of the three parts; more than `max_page_bytes` of a page is not read."""

    web: WebPages
    pictures: PreviewPictures
    max_page_bytes: int
    max_picture_bytes: int
    timeout_ms: int
    reader: PageReader = field(default_factory=PageReader)

    async def make(self, url: URL) -> Preview:
        """Raises BadGateway where the page cannot be had. A picture that cannot be had is left out."""
        try:
            async with asyncio.timeout(self.timeout_ms / 1000), self.web.open(url, ACCEPT_PAGE) as page:
                facts, kept = await self._read(page)
        except TimeoutError as error:
            raise BadGateway("The page takes too long") from error
        if facts.picture is not None and kept is None:
            kept = await self._if_possible(self._picture(facts.picture))
        properties = dict(kept.properties) if kept is not None else {}
        return Preview({**facts.properties, **properties}, kept.media_id if kept is not None else None)

    async def _read(self, page: OpenPage) -> tuple[PageFacts, KeptPicture | None]:
        if page.content_type in HTML:
            return await self._html(page), None
        facts = PageFacts()
        facts.add("og:title", file_name_of(page.url))
        if page.content_type == TEXT:
            facts.add("og:description", (await page.beginning(MAX_TEXT_BYTES)).decode("utf-8", "replace"))
        elif page.content_type.startswith("image/"):
            return facts, await self.pictures.keep(await page.whole(self.max_picture_bytes))
        return facts, None

    async def _html(self, page: OpenPage) -> PageFacts:
        parts = await self.reader.read(await page.beginning(self.max_page_bytes), page.charset)
        facts = facts_of(parts, page.url)
        is_lacking = facts.picture is None or "og:title" not in facts.properties
        if facts.oembed is not None and is_lacking:
            await self._if_possible(self._oembed(facts, facts.oembed))
        fill_in(facts, parts)
        return facts

    async def _oembed(self, facts: PageFacts, url: URL) -> None:
        async with self.web.open(url, "application/json") as document:
            if document.content_type in JSON:
                add_oembed(facts, await document.whole(MAX_OEMBED_BYTES), document.url)

    async def _picture(self, url: URL) -> KeptPicture | None:
        async with self.web.open(url, ACCEPT_PICTURE) as picture:
            if not picture.content_type.startswith("image/"):
                return None
            content = await picture.whole(self.max_picture_bytes)
        return await self.pictures.keep(content)

    async def _if_possible(self, work: Awaitable[KeptPicture | None]) -> KeptPicture | None:
        try:
            async with asyncio.timeout(self.timeout_ms / 1000):
                return await work
        except (MatrixError, TimeoutError):
            return None
