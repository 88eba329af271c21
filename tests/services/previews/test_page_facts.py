"""What is understood of pages, and of which addresses there are pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from yarl import URL

from homeserver.protocol.errors import InvalidParam
from homeserver.services.previews.charsets import charset_of
from homeserver.services.previews.facts import MAX_PROPERTIES, PageFacts, facts_of, fill_in, tidy
from homeserver.services.previews.oembed import add_oembed
from homeserver.services.previews.page_parts import PageReader
from homeserver.services.previews.urls import file_name_of, page_url

PAGE = URL("https://news.example/2026/story")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://news.example", "https://news.example/"),
        ("  HTTP://News.Example:80/a#b\n", "http://news.example/a"),
        ("https://exämple.org/ü?x=ä", "https://xn--exmple-cua.org/%C3%BC?x=%C3%A4"),
        ("http://a_b.example/", "http://a_b.example/"),
        ("http://93.184.216.34:8080/", "http://93.184.216.34:8080/"),
        ("http://[2606:2800::1]/", "http://[2606:2800::1]/"),
        ("http://news.example./", "http://news.example./"),
        ("http://news.example/a%2Fb?c=%20#", "http://news.example/a%2Fb?c=%20"),
    ],
)
def test_addresses_of_pages(text: str, meant: str) -> None:
    assert str(page_url(text)) == meant


def test_addresses_that_pages_name_are_relative_to_them() -> None:
    for text, meant in {"p.png": "/2026/p.png", "/p.png": "/p.png", "?x": "/2026/story?x", "../..": "/"}.items():
        assert page_url(text, PAGE) == URL(f"https://news.example{meant}")
    assert page_url("//cdn.example/p.png", PAGE) == URL("https://cdn.example/p.png")
    for text in ("javascript:alert(1)", "data:image/png;base64,AA", "//user@news.example/", "http:\\\\10.0.0.1"):
        with pytest.raises(InvalidParam):
            page_url(text, PAGE)


def test_files_are_named_by_the_end_of_their_address() -> None:
    names = {"/a/b%20c.pdf": "b c.pdf", "/": "x.example", "/%E2%80%AEfdp.exe": "fdp.exe", "/%FF%00": "\ufffd"}
    assert {path: file_name_of(URL(f"http://x.example{path}", encoded=True)) for path in names} == names


async def read(html: str) -> PageFacts:
    parts = await PageReader().read(html.encode(), "utf-8")
    facts = facts_of(parts, PAGE)
    fill_in(facts, parts)
    return facts


async def test_opengraph_comes_first_and_the_first_of_it() -> None:
    facts = await read(
        "<title>3</title><meta name=twitter:title content=2><meta property=og:title content=''>"
        "<meta property=og:title content=1><meta property=og:title content=0>"
        "<meta property=OG:Locale content=de><meta property=article:section content=Tea>"
        "<link rel=apple-touch-icon href=i.png><meta name=twitter:image content=t.png><meta property=og:image content=>"
    )
    assert facts.properties == {"og:title": "1", "og:locale": "de", "article:section": "Tea"}
    assert facts.picture == URL("https://news.example/2026/t.png")


async def test_a_base_moves_what_is_relative_and_a_bad_one_does_not() -> None:
    image = "<meta property=og:image content=p.png>"
    assert (await read(f"<base href=//cdn.example/x/>{image}")).picture == URL("https://cdn.example/x/p.png")
    assert (await read(f"<base href=javascript:>{image}")).picture == URL("https://news.example/2026/p.png")


async def test_what_stands_beside_the_text_is_no_description() -> None:
    long, short = "A sentence that is long enough to say something of a page.", "Too short."
    aside = "".join(f"<{tag}><div><p>{long} {tag}</p></div></{tag}>" for tag in ("nav", "footer", "aside", "form"))
    facts = await read(
        f"<svg><title>drawing</title></svg><h1>A <b>head</b>line<br>of two</h1>{aside}<p>{short}<p>{long}<script>x</script>"
    )
    assert facts.properties == {"og:title": "A headline of two", "og:description": long}


async def test_properties_are_not_without_number() -> None:
    facts = await read(
        "".join(f"<meta property=og:{'x' * (n % 30 + 1)}:{'y' * (n // 30 + 1)} content=1>" for n in range(150))
    )
    assert len(facts.properties) == MAX_PROPERTIES


async def test_what_a_page_says_of_itself_is_not_without_end() -> None:
    """Mallory's pages are remembered for a week, as everybody's are."""
    facts = await read(
        "".join(f"<meta property=og:{'x' * (n + 1)} content='{chr(0x1F600 + n) * 1000}'>" for n in range(30))
        + f"<meta property=og:description content='{'d' * 1000}'><title>T</title>"
    )
    assert facts.properties.keys() == {"og:x", "og:xx", "og:xxx", "og:xxxx", "og:title", "og:description"}


def test_texts_are_cut_at_words() -> None:
    assert tidy("  a\n\tb\u2028c\u202e ", 100) == "a b c"
    assert tidy("one two three", 9) == "one two…"
    assert tidy("x" * 50, 10) == "x" * 9 + "…"
    assert tidy("\ud800\x00", 10) == ""


OEMBED: list[tuple[Any, dict[str, str], str | None]] = [
    ({"title": "T", "author_name": "A", "provider_name": "P"}, {"og:title": "T", "og:author": "A", "og:site_name": "P"}, None),
    ({"type": "photo", "url": "/p.png", "thumbnail_url": "/t.png"}, {}, "https://news.example/p.png"),
    ({"type": "video", "url": "/v.mp4", "thumbnail_url": "/t.png"}, {}, "https://news.example/t.png"),
    ({"type": "photo", "url": "javascript:alert(1)", "title": {"a": 1}, "author_name": None}, {}, None),
    ([1, 2], {}, None),
    ("title", {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("document", "properties", "picture"), OEMBED)
def test_oembed(document: Any, properties: dict[str, str], picture: str | None) -> None:
    facts = PageFacts()
    add_oembed(facts, json.dumps(document).encode(), PAGE)
    assert facts == PageFacts(properties, None if picture is None else URL(picture))


@pytest.mark.parametrize("document", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"title": 1e999}'])
def test_what_is_no_oembed_says_nothing(document: bytes) -> None:
    facts = PageFacts()
    add_oembed(facts, document, PAGE)
    assert facts == PageFacts()


@pytest.mark.parametrize(
    ("body", "declared", "codec"),
    [
        (b"a", None, "utf-8"),
        ("ü".encode() * 600_000 + b"\xc3", None, "utf-8"),
        (b"\xfc", None, "cp1252"),
        (b"a", "punycode", "utf-8"),
        (b"a", "utf-7", "utf-8"),
        (b"a", "hex", "utf-8"),
        (b"a", "x" * 10_000, "utf-8"),
        (b"a", "\x00", "utf-8"),
        (b"<meta charset=utf-16>", None, "utf-8"),
        (b"<meta charset='Shift_JIS'>", None, "shift_jis"),
        (b"<?xml version='1.0' encoding='koi8-r'?>", None, "koi8-r"),
        (b"<meta " * 100_000 + b"charset=koi8-r>", None, "utf-8"),
    ],
)
def test_encodings(body: bytes, declared: str | None, codec: str) -> None:
    assert charset_of(body, declared) == codec
