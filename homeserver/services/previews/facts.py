"""What is told of a page: its OpenGraph properties (https://ogp.me), and what stands in for those it does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from yarl import URL

from homeserver.services.previews.page_parts import PageParts
from homeserver.services.previews.urls import page_url_or_none

MAX_PROPERTIES: Final = 40
MAX_TITLE_CHARACTERS: Final = 300
MAX_TEXT_CHARACTERS: Final = 1000
MAX_OTHER_CHARACTERS: Final = 4000
"""Of all properties but the two that everybody shows: previews are kept by the ten thousand."""
_SHOWN: Final = ("og:title", "og:description")
_PROPERTY: Final = re.compile(r"(og|article)(:[a-z_]{1,30}){1,3}")
# Clients may make links of these.
_ADDRESSES: Final = re.compile(r"og:(url|see_also|(video|audio)(:url|:secure_url)?)|article:(author|publisher)")
# The picture that clients get is one of ours, with its own size: what is said of the original does not count.
_PICTURE: Final = re.compile(r"og:image(:(url|secure_url|width|height|type))?")
_PICTURES_OF_METAS: Final = (
    "og:image:secure_url",
    "og:image:url",
    "og:image",
    "twitter:image",
    "twitter:image:src",
    "image",
)
_TITLES: Final = ("twitter:title", "title", "dc.title")
_DESCRIPTIONS: Final = ("twitter:description", "description", "dc.description")
_OEMBED_TYPE: Final = "application/json+oembed"


@dataclass(slots=True)
class PageFacts:
    """`properties` without a picture; `picture` and `oembed` have still to be fetched."""

    properties: dict[str, str] = field(default_factory=dict)
    picture: URL | None = None
    oembed: URL | None = None
    _left: int = field(default=MAX_OTHER_CHARACTERS, compare=False)

    def add(self, name: str, text: str) -> None:
        """Where there is no such property yet, and the text says something."""
        if name in self.properties or len(self.properties) >= MAX_PROPERTIES:
            return
        text = tidy(text, MAX_TITLE_CHARACTERS if name == "og:title" else MAX_TEXT_CHARACTERS)
        size = 0 if name in _SHOWN else len(text)
        if text and size <= self._left:
            self.properties[name] = text
            self._left -= size


def facts_of(parts: PageParts, page: URL) -> PageFacts:
    """What an HTML page at this address says."""
    base = page_url_or_none(parts.base, page) or page
    facts = PageFacts(picture=_picture(parts, base), oembed=_oembed(parts, base))
    for name, content in _told(parts, base):
        facts.add(name, content)
    return facts


def fill_in(facts: PageFacts, parts: PageParts) -> None:
    """What stands in for a title and a description that the page does not name."""
    for text in (*_contents(parts, _TITLES), parts.title, parts.heading):
        facts.add("og:title", text)
    for text in (*_contents(parts, _DESCRIPTIONS), " ".join(parts.paragraphs)):
        facts.add("og:description", text)


def tidy(text: str, maximum: int) -> str:
    """One line that can be stored and shown, cut at a word where it is too long."""
    # Also half a character (a surrogate), which JSON can bring, and marks that turn the direction of what follows.
    printable = "".join(each if each.isprintable() else " " for each in text[: 4 * maximum])
    line = " ".join(printable.split())
    if len(line) <= maximum:
        return line
    cut = line[: maximum - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"


def _told(parts: PageParts, base: URL) -> Iterator[tuple[str, str]]:
    for name, content in parts.metas:
        if not _PROPERTY.fullmatch(name) or _PICTURE.fullmatch(name):
            continue
        if _ADDRESSES.fullmatch(name):
            url = page_url_or_none(content, base)
            content = str(url) if url is not None else ""
        yield name, content


def _contents(parts: PageParts, names: Iterable[str]) -> list[str]:
    return [content for wanted in names for name, content in parts.metas if name == wanted]


def _picture(parts: PageParts, base: URL) -> URL | None:
    links = [href for rel, _, href in parts.links if rel in ("image_src", "apple-touch-icon")]
    addresses = (page_url_or_none(text, base) for text in (*_contents(parts, _PICTURES_OF_METAS), *links) if text)
    return next((url for url in addresses if url is not None), None)


def _oembed(parts: PageParts, base: URL) -> URL | None:
    hrefs = (href for rel, kind, href in parts.links if "alternate" in rel.split() and kind == _OEMBED_TYPE)
    return next((url for href in hrefs if (url := page_url_or_none(href, base)) is not None), None)
