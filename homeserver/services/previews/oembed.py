"""What an oEmbed document says of a page. https://oembed.com, section 2.3.4: "Response parameters"."""

from __future__ import annotations

from typing import Final

import msgspec
from yarl import URL

from homeserver.services.previews.facts import PageFacts
from homeserver.services.previews.urls import page_url_or_none

_TEXTS: Final = (("title", "og:title"), ("author_name", "og:author"), ("provider_name", "og:site_name"))


def add_oembed(facts: PageFacts, document: bytes, address: URL) -> None:
    """Fills what the page did not say itself; a document that is none says nothing."""
    try:
        said = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError):
        return
    if not isinstance(said, dict):
        return
    for key, name in _TEXTS:
        if isinstance(said.get(key), str):
            facts.add(name, said[key])
    # "photo": "the source URL of the image"; any type may have a thumbnail.
    sources = (said.get("url") if said.get("type") == "photo" else None, said.get("thumbnail_url"))
    for source in sources:
        if facts.picture is None and isinstance(source, str):
            facts.picture = page_url_or_none(source, address)
