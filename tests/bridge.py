"""A bridge as tests play it: a real HTTP server that writes down what it is told, and does what the story wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.cast import Client, Server

AS_TOKEN = "as-token-of-the-bridge"
HS_TOKEN = "hs-token-of-the-server"
SECONDS = 10
Answer = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(slots=True)
class Bridge:
    """`refuse`: it answers 503 to transactions. `answers`: what it says at other paths."""

    url: str = ""
    transactions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    refuse: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {HS_TOKEN}":
            return web.json_response({"errcode": "M_FORBIDDEN"}, status=403)
        path = request.path.removeprefix("/_matrix/app/v1")
        if path.startswith("/transactions/"):
            return await self._transaction(path.rpartition("/")[2], await request.json())
        self.asked.append(path)
        answer = self.answers.get(path)
        return web.json_response({"errcode": "M_NOT_FOUND"}, status=404) if answer is None else await answer(request)

    async def _transaction(self, txn_id: str, body: dict[str, Any]) -> web.Response:
        self.attempts.append(txn_id)
        if not self.refuse:
            self.transactions.append((txn_id, body))
        self._news.set()
        return web.json_response({}, status=503 if self.refuse else 200)

    async def until(self, reached: Callable[[], Any]) -> Any:
        """Wait for transactions until this is true; what it says then."""
        async with asyncio.timeout(SECONDS):
            while not (found := reached()):
                self._news.clear()
                await self._news.wait()
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.transactions for event in body["events"]]

    def of(self, key: str) -> list[dict[str, Any]]:
        return [each for _, body in self.transactions for each in body.get(key, [])]

    async def event(self, event_id: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = await self.until(lambda: [e for e in self.events if e["event_id"] == event_id])
        return found[0]

    def bot(self, server: Server) -> Client:
        """The bridge as a client that speaks for its bot."""
        return Client(server.session, server.base_url, user_id="@bridgebot:test", access_token=AS_TOKEN)

    async def ghost(self, server: Server, name: str) -> str:
        """Register a user of the namespace; returns the user id."""
        body = {"type": "m.login.application_service", "username": name, "inhibit_login": True}
        user_id: str = (await self.bot(server).post("register", body))["user_id"]
        return user_id


@asynccontextmanager
async def running_bridge() -> AsyncIterator[Bridge]:
    bridge = Bridge()
    runner = web.ServerRunner(web.Server(bridge.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    bridge.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield bridge
    finally:
        await runner.cleanup()


def registration(url: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "id": "bridge",
        "url": url,
        "as_token": AS_TOKEN,
        "hs_token": HS_TOKEN,
        "sender_localpart": "bridgebot",
        "namespaces": {
            "users": [{"exclusive": True, "regex": "@_net_.*"}],
            "aliases": [{"exclusive": True, "regex": "#_net_.*"}],
        },
        "rate_limited": False,
        **changes,
    }


def written(folder: Path, *documents: dict[str, Any]) -> tuple[Path, ...]:
    """Registration files."""
    files = []
    for number, document in enumerate(documents):
        file = folder / f"bridge{number}.yaml"
        file.write_text(yaml.safe_dump(document))
        files.append(file)
    return tuple(files)
