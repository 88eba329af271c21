"""Pages of the web over TLS, and a DNS that says something else each time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from homeserver.federation.addresses import AddressGuard
from homeserver.federation.dns import SocketAddress
from homeserver.federation.web.pages import WebPages
from homeserver.federation.web.unpacking import unpacked
from homeserver.protocol.errors import BadGateway
from homeserver.services.previews.urls import page_url
from tests.dns import FakeDns
from tests.federation.authority import Authority
from tests.websites import Website

HTML = "text/html"


@dataclass(slots=True)
class FickleDns(FakeDns):
    """The n-th answer is the n-th address; the last one for ever."""

    ips: list[str] = field(default_factory=list)

    async def addresses(self, host: str, port: int) -> Sequence[SocketAddress]:
        [found] = await FakeDns.addresses(self, host, port)
        return [SocketAddress(self.ips.pop(0) if len(self.ips) > 1 else self.ips[0], found.port)]


@asynccontextmanager
async def looking(dns: FakeDns, ca_file: Path | None = None, deny: Sequence[str] = ()) -> AsyncIterator[WebPages]:
    pages = WebPages(dns, AddressGuard(["127.0.0.2/31", "::/64"]), "VoiceChat (bot)", "en", deny, True, ca_file)
    try:
        yield pages
    finally:
        await pages.close()


async def text_at(pages: WebPages, url: str) -> str:
    async with asyncio.timeout(20), pages.open(page_url(url), HTML) as page:
        return (await page.whole(1_000)).decode()


async def test_certificates_are_checked_for_the_name(tmp_path: Path) -> None:
    authority, dns, site = Authority(tmp_path), FakeDns(), Website()
    site.page("/", "hello")
    async with site.running(authority.context("safe.example")), looking(dns, authority.ca_file) as pages:
        dns.point("safe.example", 443, site.port)
        dns.point("other.example", 443, site.port)
        assert await text_at(pages, "https://safe.example/") == "hello"
        with pytest.raises(BadGateway):
            await text_at(pages, "https://other.example/")
        async with looking(dns) as strangers:
            with pytest.raises(BadGateway):
                await text_at(strangers, "https://safe.example/")


async def test_a_name_that_turns_inside_between_two_requests_leads_nowhere() -> None:
    dns, site = FickleDns(ips=["127.0.0.1", "127.0.0.2"]), Website()
    site.moved("/", "http://fickle.example/inside")
    site.page("/inside", "secret")
    async with site.running(), looking(dns) as pages:
        dns.point("fickle.example", 80, site.port)
        with pytest.raises(BadGateway):
            await text_at(pages, "http://fickle.example/")
    assert site.paths == ["/"]
    assert len(dns.asked) == 2


async def test_each_step_of_a_way_is_checked_anew() -> None:
    dns, site = FakeDns(), Website()
    async with site.running(), looking(dns, deny=["*.secret.example"]) as pages:
        dns.point("news.example", 80, site.port)
        dns.point("a.secret.example", 80, site.port)
        site.page("/", "secret")
        for target in (
            "http://a.secret.example/", "//a.secret.example/", "http://u:p@news.example/", "http://news.example:22/",
            "http://[::1]/", "http://[::ffff:127.0.0.2]/", "http://127.0.0.2/", "file:///etc/passwd",
        ):  # fmt: skip
            site.moved("/there", target)
            with pytest.raises(BadGateway):
                await text_at(pages, "http://news.example/there")
        site.moved("/there", "here")
        site.page("/here", "found")
        assert await text_at(pages, "http://news.example/there") == "found"


async def test_a_header_without_end_and_an_answer_that_is_none_are_errors() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/headers" in request:
            writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 1_000_000 + b"\r\n\r\n")
        elif b"/many" in request:
            writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 100_000 + b"\r\n")
        elif b"/short" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        else:
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    dns = FakeDns()
    dns.point("odd.example", 80, server.sockets[0].getsockname()[1])
    async with server, looking(dns) as pages:
        for path in ("headers", "many", "short", "ssh"):
            with pytest.raises(BadGateway):
                await text_at(pages, f"http://odd.example/{path}")


async def test_what_is_unpacked_comes_in_small_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield gzip.compress(bytes(10_000_000))

    sizes = [len(piece) async for piece in unpacked(pieces(), "gzip")]
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= 64 * 1024


async def test_a_page_that_is_larger_than_wanted_is_no_whole_page() -> None:
    dns, site = FakeDns(), Website()

    async def large(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bytes(1_001), content_type=HTML)

    site.says("/", large)
    async with site.running(), looking(dns) as pages:
        dns.point("news.example", 80, site.port)
        with pytest.raises(BadGateway):
            await text_at(pages, "http://news.example/")
