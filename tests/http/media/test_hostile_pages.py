"""Links to what is no page, or no page to be looked at; pages that would hold the server up."""

from __future__ import annotations

import asyncio
import gzip
import struct
import zlib

import pytest
from aiohttp import web

from homeserver.federation.web.previews import MAX_WAITING_OF_USER, PAGES_PER_USER
from tests.previewing import NEW, Web, picture

NO_ADDRESSES = (
    "", "news.example", "/story", "//news.example/", "http://", "http:///x", "http://?", "http://[", "http://[::1",
    "file:///etc/passwd", "ftp://news.example/", "gopher://news.example/", "javascript:alert(1)",
    "data:text/html,<title>x</title>", "matrix:u/alice:test", "mxc://test/abc",
    "http://alice:secret@news.example/", "http://alice@news.example/", "http://news.example@other.example/",
    "http://news.example:22/", "http://news.example:25/", "http://news.example:0/", "http://news.example:99999/",
    "http://news.example:6667/", "http://news.example:x/",
    "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "http://0x7f.1/", "http://1.2.3/",
    "http://[fe80::1%25eth0]/", "http://a..b/", "http://news .example/", "http://news\u0000.example/",
    "http://news.example/\r\nHost: inside", "http://%31%32%37.0.0.1/", "http://" + "a" * 3000, "http://-/",
    "http://news.example/" + "a" * 3000,
)  # fmt: skip


async def test_what_is_no_address_of_a_page_is_refused(world: Web) -> None:
    for url in NO_ADDRESSES:
        answer = await world.alice.get(NEW, url=url, expect=400)
        assert answer["errcode"] in ("M_INVALID_PARAM", "M_MISSING_PARAM"), url
    assert (world.site.asked, world.dns.asked) == ([], [])


async def test_parameters_that_make_no_sense_are_refused(world: Web) -> None:
    await world.alice.get(NEW, expect=(400, "M_MISSING_PARAM"))
    await world.alice.get(NEW, url="http://news.example/", ts="yesterday", expect=(400, "M_INVALID_PARAM"))
    await world.alice.get(NEW, url="http://news.example/", ts=-1, expect=(400, "M_INVALID_PARAM"))


# --- Doors to the inside


INSIDE_ADDRESSES = (
    "http://127.0.0.2/", "http://127.0.0.3:8008/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.2]/",
    "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a00:1]/", "http://10.0.0.1/", "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/", "http://0.0.0.0/", "http://[fd00::1]/", "http://[fe80::1]/",
    "http://inside.example/", "http://localhost/", "http://a.secret.example/",
)  # fmt: skip


async def test_the_network_inside_is_not_asked(world: Web) -> None:
    world.dns.point("inside.example", 80, world.site.port, ip="127.0.0.2")
    world.site.page("/", "<title>inside</title>")
    for number, url in enumerate(INSIDE_ADDRESSES):
        world.site.moved(f"/there/{number}", url)
        await world.nothing_of(url)
        await world.nothing_of(f"http://news.example/there/{number}")
    assert world.site.paths == [f"/there/{number}" for number in range(len(INSIDE_ADDRESSES))]


async def test_pictures_inside_are_not_fetched(world: Web) -> None:
    world.dns.point("inside.example", 80, world.site.port, ip="127.0.0.2")
    for number, url in enumerate(("http://127.0.0.2/", "http://inside.example/p.png", "http://[::1]/")):
        world.site.page(f"/{number}", f"<title>x</title><meta property=og:image content='{url}'>")
        assert await world.preview(f"http://news.example/{number}") == {"og:title": "x"}
    assert world.site.paths == ["/0", "/1", "/2"]


async def test_a_name_that_changes_its_meaning_leads_nowhere(world: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the address that is checked is the one that is connected to."""
    world.site.page("/", "<title>x</title><meta property=og:image content='/p.png'>")
    world.site.page("/p.png", picture(), "image/png")
    world.dns.point("news.example", 80, world.site.port)
    await world.preview("http://news.example/")
    world.dns.point("news.example", 80, world.site.port, ip="127.0.0.2")
    asked = len(world.site.asked)
    await world.nothing_of("http://news.example/other")
    assert len(world.site.asked) == asked


async def test_errors_do_not_tell_a_closed_port_from_a_forbidden_address(world: Web) -> None:
    world.dns.point("closed.example", 80, 1)
    world.dns.point("inside.example", 80, world.site.port, ip="127.0.0.2")
    urls = ("http://closed.example/", "http://inside.example/", "http://nowhere.example/", "http://10.0.0.1/")
    answers = [await world.preview(url, expect=502) for url in urls]
    assert all(answer == answers[0] for answer in answers)


# --- Hostile pages


async def test_redirects_end(world: Web) -> None:
    world.site.moved("/loop", "/loop")
    for number in range(7):
        world.site.moved(f"/{number}", f"/{number + 1}")
    world.site.page("/7", "<title>end</title>")
    world.site.moved("/nowhere", "javascript:alert(1)")
    world.site.page("/without", "", status=302)
    await world.nothing_of("http://news.example/loop")
    assert len(world.site.asked) == 6
    await world.nothing_of("http://news.example/0")
    await world.nothing_of("http://news.example/nowhere")
    await world.nothing_of("http://news.example/without")
    assert (await world.preview("http://news.example/2"))["og:title"] == "end"


async def test_a_gzip_bomb_is_read_as_far_as_any_page(world: Web) -> None:
    bomb = gzip.compress(b"<title>bomb</title>" + bytes(100 * 1024 * 1024), 1)
    world.site.page("/", bomb, headers={"Content-Encoding": "gzip"})
    world.site.page("/plain", gzip.compress(b"<title>packed</title>"), headers={"Content-Encoding": "gzip"})
    world.site.page("/broken", b"no gzip", headers={"Content-Encoding": "gzip"})
    world.site.page("/br", b"x", headers={"Content-Encoding": "br"})
    world.site.page("/twice", gzip.compress(gzip.compress(b"x")), headers={"Content-Encoding": "gzip, gzip"})
    assert (await world.preview("http://news.example/"))["og:title"] == "bomb"
    assert (await world.preview("http://news.example/plain"))["og:title"] == "packed"
    for path in ("broken", "br", "twice"):
        await world.nothing_of(f"http://news.example/{path}")


async def test_a_body_without_end_is_left(world: Web) -> None:
    sent = 0

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse(headers={"Content-Type": request.query["type"]})
        await answer.prepare(request)
        await answer.write(b"<title>endless</title>")
        while sent < 50 * 1024 * 1024:
            await answer.write(bytes(64 * 1024))
            sent += 64 * 1024
        return answer

    world.site.says("/", endless)
    assert (await world.preview("http://news.example/?type=text/html"))["og:title"] == "endless"
    await world.nothing_of("http://news.example/?type=image/png")
    assert (await world.preview("http://news.example/?type=video/mp4"))["og:title"] == "news.example"
    assert sent < 20 * 1024 * 1024


@pytest.mark.parametrize("patience_ms", [1_500])
async def test_a_page_that_drips_is_given_up(world: Web) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/html"})
        await answer.prepare(request)
        while True:
            await answer.write(b"<")
            await asyncio.sleep(0.05)

    world.site.says("/", drip)
    world.site.says("/p.png", drip)
    world.site.page("/page", "<title>x</title><meta property=og:image content=/p.png>")
    await world.nothing_of("http://news.example/")
    assert await world.preview("http://news.example/page") == {"og:title": "x"}


async def test_html_that_keeps_parsers_busy_keeps_nobody_busy(world: Web) -> None:
    for name, body in {
        "deep": "<title>x</title>" + "<div>" * 200_000,
        "attributes": "<title>x</title><p " + "a=b " * 200_000,
        "comment": "<title>x</title>" + "<!--" * 200_000,
        "metas": "<title>x</title>" + "<meta property=og:a content=b>" * 30_000,
        "nothing": "",
        "bytes": "\x00\x01\ufffe" * 10_000,
    }.items():
        world.site.page(f"/{name}", body)
        facts = await world.preview(f"http://news.example/{name}", expect={200, 502})
        assert len(str(facts)) < 5_000


async def test_texts_are_short_and_harmless(world: Web) -> None:
    world.site.page(
        "/",
        f"<title>{'long ' * 100_000}</title><meta property='og:description' content='a\u202eb\u0000\u0007c\nd'>"
        "<meta property='og:url' content='javascript:alert(1)'><meta property='og:video' content='data:text/html,x'>"
        "<meta property='og:see_also' content='/more'><meta property='og:audio' content='http://10.0.0.1:22/'>"
        "<meta property='og:image' content='data:image/png;base64,AAAA'><meta property='matrix:image:size' content='1'>"
        "<meta property='__proto__' content='x'><meta property='og:title:x:y:z:w' content='x'>",
    )
    facts = await world.preview("http://news.example/")
    assert len(facts.pop("og:title")) <= 300
    assert facts == {"og:description": "a b\ufffd c d", "og:see_also": "http://news.example/more"}


async def test_pictures_that_are_none_are_left_out(world: Web) -> None:
    wide = picture((1, 1)).replace((1).to_bytes(4, "big") * 2, (50_000).to_bytes(4, "big") * 2, 1)
    for name, content in {
        "bomb": _huge_png(50_000, 50_000), "lying": wide, "cut": picture()[:60], "text": b"<html>", "none": b"",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "large": picture((400, 400), "BMP"), "ps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }.items():  # fmt: skip
        world.site.page(f"/{name}.png", content, "image/png")
        world.site.page(f"/{name}", f"<title>x</title><meta property=og:image content=/{name}.png>")
        assert await world.preview(f"http://news.example/{name}") == {"og:title": "x"}, name
    assert await world.server.application.base.database.fetchval("SELECT count(*) FROM media") == 0


def _huge_png(width: int, height: int) -> bytes:
    """A true one: rows of nothing, packed."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(min(height, 2_000)))
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = chunk(b"IDAT", rows + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


async def test_one_user_with_slow_pages_holds_up_nobody_else(world: Web) -> None:
    over = asyncio.Event()

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        await over.wait()
        return web.Response(status=500)

    mallory = await world.server.register("mallory")
    for number in range(MAX_WAITING_OF_USER):
        world.site.says(f"/slow/{number}", never)
    world.site.page("/", "<title>quick</title>")
    wanted = [f"http://news.example/slow/{number}" for number in range(MAX_WAITING_OF_USER - 1)]
    waiting = [asyncio.create_task(world.preview(url, by=mallory, expect=502)) for url in wanted]
    while len(world.site.asked) < PAGES_PER_USER:
        await asyncio.sleep(0.01)
    people = world.server.application.base.life.memory["url_previews"]
    # What everybody wants to see comes last in his line.
    waiting.append(asyncio.create_task(world.preview("http://other.example/", by=mallory)))
    try:
        while people()["waiting"] < MAX_WAITING_OF_USER:
            await asyncio.sleep(0.01)
        one_more = await world.preview("http://news.example/slow/63", by=mallory, expect=(429, "M_LIMIT_EXCEEDED"))
        assert one_more["retry_after_ms"] > 0
        assert (await world.preview("http://other.example/"))["og:title"] == "quick"
        assert len(world.site.asked) == PAGES_PER_USER + 1
    finally:
        over.set()
    answers = await asyncio.gather(*waiting)
    assert answers[-1]["og:title"] == "quick"
    assert len(world.site.asked) == MAX_WAITING_OF_USER
