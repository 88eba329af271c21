"""The server and its proxy as the probe meets them: what they answer is up to the story."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from homeserver.protocol.signing import SigningKey
from tests.voice.participant.embedded_server import KEY, ROOM, SECRET
from voice import tokens
from voice.probe.finding import Finding, Mark
from voice.probe.invitation import PATH, Operator
from voice.probe.probe import Probe
from voice.sfu.backend import Grant

OPERATOR = Operator("test", SigningKey.from_seed("a_test", bytes(32)))
SECONDS = 0.4

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def invitation(url: str, now_s: float, **more: Any) -> dict[str, Any]:
    minted = [tokens.mint(KEY, SECRET, Grant(ROOM, who), now_s) for who in ("talker", "listener")]
    return {"url": url, "tokens": minted, **more}


@dataclass(slots=True)
class Front:
    """`probe` answers the request for a call; `sfu` everything below /sfu. `url` is where it listens."""

    url: str = ""
    invitation: dict[str, Any] = field(default_factory=dict)
    probe: Answer | None = None
    sfu: Answer | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == PATH:
            return await self.probe(request) if self.probe else web.json_response(self.invitation)
        if self.sfu is not None and request.path.startswith("/sfu/"):
            return await self.sfu(request)
        return web.Response(status=404, text="<h1>404</h1>", content_type="text/html")

    async def findings(self) -> list[Finding]:
        async with aiohttp.ClientSession() as http:
            return [each async for each in Probe(http, self.url, SECONDS).run(OPERATOR.request())]


@asynccontextmanager
async def front() -> AsyncIterator[Front]:
    opened = Front()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", opened.answer)
    runner = web.AppRunner(application, access_log=None, max_line_size=65_536, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield opened
    finally:
        await runner.cleanup()


def wrongs(findings: list[Finding]) -> list[str]:
    return [each.sentence for each in findings if each.mark is Mark.WRONG]


def says(status: int, text: str = "") -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text)

    return answer


def refuses(status: int, errcode: str, error: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"errcode": errcode, "error": error}, status=status)

    return answer
