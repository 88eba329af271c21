"""GET /preview_url: pages of a real web server, found by a DNS of the test's own."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from aiohttp import web
from PIL import Image

from tests.cast import Server
from tests.previewing import NEW, OLD, PICTURES, Web, picture

# --- What pages say


async def test_alice_sees_what_a_page_says_of_itself(world: Web) -> None:
    world.site.page("/photo.png", picture(), "image/png")
    world.site.page(
        "/story",
        """<!doctype html><title>not this</title>
        <meta property="og:title" content="  A   story &amp; more ">
        <meta property=og:description content="What happened">
        <meta property="og:site_name" content="News"><meta property="og:type" content="article">
        <meta property="og:image" content="/photo.png"><meta property="og:image:width" content="9999">""",
    )
    facts = await world.preview("http://news.example/story#comments")
    mxc = facts.pop("og:image")
    assert facts == {
        "og:title": "A story & more",
        "og:description": "What happened",
        "og:site_name": "News",
        "og:type": "article",
        "og:image:type": "image/png",
        "og:image:width": 60,
        "og:image:height": 40,
        "matrix:image:size": len(picture()),
    }
    assert mxc.startswith("mxc://test/")
    path = mxc.removeprefix("mxc://")
    assert (await world.alice.raw("GET", f"/_matrix/client/v1/media/download/{path}")).body == picture()
    small = await world.alice.raw(
        "GET", f"/_matrix/client/v1/media/thumbnail/{path}", query={"width": 32, "height": 32, "method": "crop"}
    )
    assert Image.open(io.BytesIO(small.body)).size == (32, 32)


async def test_a_page_that_knows_no_opengraph_is_described_by_what_it_has(world: Web) -> None:
    sentence = "Once upon a time there was a page that nobody had described to anybody."
    world.site.page(
        "/", f"<html><head><title>Old page</title></head><body><nav><p>{'menu ' * 20}</p></nav><p>{sentence}</p>"
    )
    world.site.page(
        "/tweet", '<meta name="twitter:title" content="T"><meta name=description content="D"><title>x</title>'
    )
    assert await world.preview("http://news.example/") == {"og:title": "Old page", "og:description": sentence}
    assert await world.preview("http://news.example/tweet") == {"og:title": "T", "og:description": "D"}


async def test_oembed_says_what_the_page_does_not(world: Web) -> None:
    world.site.page("/thumb.jpg", picture(kind="JPEG"), "image/jpeg")
    world.site.page(
        "/oembed", '{"type": "video", "title": "A film", "provider_name": "Films", "thumbnail_url": "/thumb.jpg"}',
        "application/json",
    )  # fmt: skip
    world.site.page("/film", '<link rel="alternate" type="application/json+oembed" href="/oembed?format=json"><p>x')
    facts = await world.preview("http://news.example/film")
    assert (facts["og:title"], facts["og:site_name"], facts["og:image:type"]) == ("A film", "Films", "image/jpeg")


async def test_a_link_to_a_picture_shows_the_picture(world: Web) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # taken with the camera on its side
    world.site.page("/cats/tom.jpg", picture(kind="JPEG", exif=turned), "image/jpeg")
    facts = await world.preview("http://news.example/cats/tom.jpg")
    assert (facts["og:title"], facts["og:image:width"], facts["og:image:height"]) == ("tom.jpg", 40, 60)


async def test_other_files_are_named_and_not_read(world: Web) -> None:
    world.site.page("/a%20report.pdf", b"%PDF" + bytes(100), "application/pdf")
    world.site.page("/a report.pdf", b"%PDF" + bytes(100), "application/pdf")
    world.site.page("/notes", "First line\nsecond", "text/plain")
    assert await world.preview("http://news.example/a%20report.pdf") == {"og:title": "a report.pdf"}
    assert (await world.preview("http://news.example/notes"))["og:description"] == "First line second"


def _in_many_encodings(text: str) -> list[tuple[bytes, str]]:
    """With what the header says of them."""
    meta = b"<meta http-equiv=content-type content='text/html; charset=cp1252'>"
    return [
        (text.encode("cp1252"), "text/html; charset=ISO-8859-1"),
        (text.encode("cp1252"), "text/html"),
        (text.encode("utf-16"), "text/html"),
        (b"\xfe\xff" + text.encode("utf-16-be"), "text/html; charset=us-ascii"),
        (b"\xef\xbb\xbf" + text.encode(), "text/html; charset=koi8-r"),
        (b'<meta charset="utf-8">' + text.encode(), "text/html"),
        (meta + text.encode("cp1252"), "text/html; charset=unicode_escape"),
    ]


async def test_umlauts_arrive_in_any_encoding(world: Web) -> None:
    for number, (body, content_type) in enumerate(_in_many_encodings("<title>Grüße €</title>")):
        world.site.page(f"/{number}", body, content_type)
        assert (await world.preview(f"http://news.example/{number}"))["og:title"] == "Grüße €", content_type


async def test_the_site_is_told_who_looks_and_nothing_else(world: Web) -> None:
    world.site.page("/", "<title>x</title>", headers={"Set-Cookie": "a=b"})
    world.site.moved("/there", "/")
    await world.preview("http://news.example/there")
    headers = world.site.asked[-1].headers
    assert {"bot", "test"} <= set(headers["User-Agent"].replace("(", "").replace(";", "").split())
    assert not {"Cookie", "Referer", "Authorization", "X-Forwarded-For"} & set(headers)
    assert "alice" not in str(headers)


# --- What is remembered


async def test_a_page_is_looked_at_once_a_day(world: Web) -> None:
    world.site.page("/", "<title>Monday</title>")
    bob = await world.server.register("bob")
    monday_ms = world.clock.now_ms()
    await world.preview("http://news.example/")
    await world.preview("http://news.example/#part", by=bob)
    await bob.get(OLD, url="http://NEWS.example:80/")
    assert len(world.site.asked) == 1

    world.clock.advance(hours=25)
    world.site.page("/", "<title>Tuesday</title>")
    assert (await world.preview("http://news.example/"))["og:title"] == "Tuesday"
    assert (await world.preview("http://news.example/", ts=monday_ms + 5))["og:title"] == "Monday"
    assert (await world.preview("http://news.example/", ts=5))["og:title"] == "Tuesday"
    assert len(world.site.asked) == 2


async def test_what_many_ask_for_at_once_is_fetched_once(world: Web) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.Response(text="<title>x</title>", content_type="text/html")

    world.site.says("/", slowly)
    asking = [asyncio.create_task(world.preview("http://news.example/")) for _ in range(10)]
    await begun.wait()
    await asyncio.sleep(0.05)  # the others are on their way, and none of them may reach the site
    go_on.set()
    assert await asyncio.gather(*asking) == [{"og:title": "x"}] * 10
    assert len(world.site.asked) == 1


async def test_what_could_not_be_had_is_not_asked_for_again_at_once(world: Web) -> None:
    await world.nothing_of("http://news.example/none")
    await world.nothing_of("http://news.example/none")
    assert len(world.site.asked) == 1
    world.site.page("/none", "<title>Here now</title>")
    world.clock.advance(minutes=6)
    assert (await world.preview("http://news.example/none"))["og:title"] == "Here now"


async def test_pictures_go_when_their_time_is_over(world: Web) -> None:
    world.site.page("/p.png", picture(), "image/png")
    mxc = (await world.preview("http://news.example/p.png"))["og:image"].removeprefix("mxc://")
    database = world.server.application.base.database
    world.clock.advance(hours=9 * 24)
    await _housekeeping(world)
    answer = await world.alice.get(f"/_matrix/client/v1/media/download/{mxc}", expect=404)
    assert answer["errcode"] == "M_NOT_FOUND"
    assert await database.fetchval("SELECT count(*) FROM url_previews") == 0
    assert await database.fetchval("SELECT count(*) FROM url_preview_pictures") == 0
    assert [
        path for path in (Path(world.server.application.settings.data_dir) / "media").rglob("*") if path.is_file()
    ] == []


async def test_the_oldest_pictures_make_room_for_new_ones(world: Web, database_dsn: str) -> None:
    noise = Image.effect_noise((300, 300), 90)
    for number in range(4):
        output = io.BytesIO()
        noise.rotate(number).save(output, "PNG")
        world.site.page(f"/{number}.png", output.getvalue(), "image/png")
        assert "og:image" in await world.preview(f"http://news.example/{number}.png")
    await _housekeeping(world)
    database = world.server.application.base.database
    assert await database.fetchval("SELECT sum(size) FROM url_preview_pictures") <= PICTURES
    # The preview went with its picture, and both come back.
    asked = len(world.site.asked)
    assert "og:image" in await world.preview("http://news.example/0.png")
    assert len(world.site.asked) == asked + 1


async def _housekeeping(world: Web) -> None:
    for name, _, step in world.server.application.base.life._repeats:
        if "preview" in name:
            await step()


# --- Who may ask, and for what


async def test_previews_are_for_members_of_the_server(world: Web) -> None:
    await world.alice.anonymous().get(NEW, url="http://news.example/", expect=(401, "M_MISSING_TOKEN"))
    guest = await world.server.guest()
    await guest.get(NEW, url="http://news.example/", expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    assert world.site.asked == []


async def test_switched_off_it_is_as_if_it_were_not_there(server: Server) -> None:
    alice = await server.register("alice")
    await alice.get(NEW, url="http://news.example/", expect=(404, "M_UNRECOGNIZED"))


async def test_pictures_of_pages_are_counted_as_nobodys(world: Web) -> None:
    ada = await world.server.administrator()
    world.site.page("/p.png", picture(), "image/png")
    await world.preview("http://news.example/p.png")
    for path in ("/_synapse/admin/v1/statistics/users/media", f"/_synapse/admin/v1/users/{world.alice.user_id}/media"):
        assert (await ada.get(path))["total"] == 0
