"""A push gateway as tests play it: real HTTP on a real socket, which keeps what it is told.

async with push_gateway() as gateway:
    await alice.post("pushers/set", gateway.pusher("key"))
    …
    notification = await gateway.next()
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from tests.spec.validator import OPENAPI

PATH = "/_matrix/push/v1/notify"
SECONDS = 10


@functools.cache
def _schema() -> Draft202012Validator:
    paths = json.loads((OPENAPI / "push-gateway.json").read_bytes())["paths"]
    (operation,) = [methods["post"] for path, methods in paths.items() if path.endswith("/notify")]
    return Draft202012Validator(operation["requestBody"]["content"]["application/json"]["schema"])


@dataclass(slots=True, repr=False)
class PushGateway:
    """`answers`: what it says to the next requests instead of taking them: a status, or a body."""

    port: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)
    answers: deque[int | dict[str, Any]] = field(default_factory=deque)
    problems: list[str] = field(default_factory=list)
    """What is wrong with what it was told, by the push gateway API."""
    closed: bool = False
    """Whether it lets everybody wait for an answer."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _read: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def pusher(self, pushkey: str = "key", **changes: Any) -> dict[str, Any]:
        """The body of POST /pushers/set for a pusher that comes here. `data`: besides the address."""
        data = {"url": self.url, **changes.pop("data", {})}
        return {
            "kind": "http",
            "app_id": "org.example.app",
            "pushkey": pushkey,
            "app_display_name": "Example",
            "device_display_name": "Phone",
            "lang": "en",
            "data": data,
            **changes,
        }

    async def next(self) -> dict[str, Any]:
        """The next notification that was not looked at yet; fails where none comes."""
        async with asyncio.timeout(SECONDS):
            while self._read >= len(self.received):
                self._news.clear()
                await self._news.wait()
        self._read += 1
        return self.received[self._read - 1]

    @property
    def unread(self) -> int:
        """How many were not looked at yet."""
        return len(self.received) - self._read

    async def notify(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.problems += [error.message for error in _schema().iter_errors(body)]
        self.received.append(body["notification"])
        self._news.set()
        if self.closed:
            await self._open.wait()
        answer = self.answers.popleft() if self.answers else {"rejected": []}
        return web.Response(status=answer) if isinstance(answer, int) else web.json_response(answer)

    def let_go(self) -> None:
        """Answer those who wait."""
        self.closed = False
        self._open.set()


@asynccontextmanager
async def push_gateway() -> AsyncIterator[PushGateway]:
    """One that listens."""
    gateway = PushGateway()
    application = web.Application(client_max_size=1024 * 1024)
    application.router.add_post(PATH, gateway.notify)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    gateway.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield gateway
    finally:
        gateway.let_go()
        await runner.cleanup()
    assert not gateway.problems, gateway.problems
