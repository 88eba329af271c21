"""A site of the web as a real HTTP server: it says what a test tells it to, however hostile.

site = Website()
async with site.running():
    dns.point("news.example", 80, site.port)
    site.page("/", "<title>News</title>")
    site.asked                                  # what was asked for, with its headers
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

Says: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Website:
    """What is at no path is 404."""

    port: int = 0
    asked: list[web.BaseRequest] = field(default_factory=list)
    _pages: dict[str, Says] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.asked]

    def page(
        self,
        path: str,
        body: str | bytes,
        content_type: str = "text/html; charset=utf-8",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """The same for everybody who asks."""
        content = body.encode() if isinstance(body, str) else body

        async def say(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=content, status=status, headers={"Content-Type": content_type, **(headers or {})})

        self._pages[path] = say

    def moved(self, path: str, target: str, status: int = 302) -> None:
        self.page(path, "", status=status, headers={"Location": target})

    def says(self, path: str, say: Says) -> None:
        """Anything."""
        self._pages[path] = say

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Website]:
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        say = self._pages.get(request.path)
        return await say(request) if say is not None else web.Response(status=404)
