"""Other servers: one that says whatever a test wants, over real TLS on this machine."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey, sign_json
from tests.clock import START_MS

DAY_MS = 24 * 60 * 60_000
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as the peer got it."""

    method: str
    uri: str
    host: str
    sni: str | None
    authorization: str | None
    body: bytes


@dataclass(slots=True)
class Peer:
    """`answers` by path. Unknown paths are 404 M_UNRECOGNIZED."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    _sni: str | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.heard.append(
            Heard(
                request.method,
                request.raw_path,
                request.headers["Host"],
                self._sni,
                request.headers.get("Authorization"),
                await request.read(),
            )
        )
        answer = self.answers.get(request.path)
        if answer is None:
            return web.json_response({"errcode": "M_UNRECOGNIZED", "error": "?"}, status=404)
        return await answer(request)

    def says(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        """JSON, or bytes as they are."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            if isinstance(body, bytes):
                return web.Response(body=body, status=status, headers=headers)
            return web.json_response(body, status=status, headers=headers)

        self.answers[path] = answer

    def paths(self) -> list[str]:
        return [each.uri for each in self.heard]

    def note_sni(self, socket: Any, name: str | None, context: ssl.SSLContext) -> None:
        self._sni = name


@asynccontextmanager
async def running_peer(context: ssl.SSLContext) -> AsyncIterator[Peer]:
    """Listens on a free port until the block ends."""
    peer = Peer()
    context.sni_callback = peer.note_sni
    runner = web.ServerRunner(web.Server(peer.handle))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        peer.port = runner.addresses[0][1]
        yield peer
    finally:
        await runner.cleanup()


def signing_key(number: int, version: str = "a_peer") -> SigningKey:
    return SigningKey.from_seed(version, bytes([number]) * 32)


def key_document(
    name: str, key: SigningKey, *, valid_until_ms: int = START_MS + DAY_MS, **changes: Any
) -> dict[str, Any]:
    """What a server publishes, written by hand."""
    document = {
        "server_name": name,
        "verify_keys": {key.key_id: {"key": encode_base64(key.verify_key)}},
        "old_verify_keys": {},
        "valid_until_ts": valid_until_ms,
        **changes,
    }
    return sign_json(document, name, key)
