"""Other servers: one that says whatever a test wants, over real TLS on this machine."""

from __future__ import annotations

import inspect
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey, sign_json
from tests.clock import START_MS

DAY_MS = 24 * 60 * 60_000
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a path with parameters. `path` and `query` are decoded; `body` is None where there is none."""

    path: dict[str, str]
    query: dict[str, list[str]]
    body: Any


class Refusal(Exception):  # noqa: N818  (what the peer answers, no mistake of the test)
    """Raised by an operation: the peer answers with an error."""

    def __init__(self, status: int = 404, errcode: str = "M_NOT_FOUND") -> None:
        super().__init__(f"{status} {errcode}")
        self.status, self.errcode = status, errcode


Operation = Callable[[Asked], Any]
"""Returns JSON or bytes, or a coroutine of those."""


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
    """`answers` by path; then `operations`, by method and path with {parameters}. Unknown paths are 404 M_UNRECOGNIZED."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    operations: dict[tuple[str, str], Operation] = field(default_factory=dict)
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
        return await (self._operate(request) if answer is None else answer(request))

    async def _operate(self, request: web.BaseRequest) -> web.StreamResponse:
        for (method, template), operation in self.operations.items():
            path = _match(template, request.raw_path.partition("?")[0]) if method == request.method else None
            if path is not None:
                return await _outcome(operation, Asked(path, _query(request), await _json(request)))
        return web.json_response({"errcode": "M_UNRECOGNIZED", "error": "?"}, status=404)

    def serves(self, method: str, template: str, operation: Operation) -> None:
        """Answer a path such as `/_matrix/federation/v1/event/{event_id}`."""
        self.operations[method, template] = operation

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


def _match(template: str, raw_path: str) -> dict[str, str] | None:
    wanted, segments = template.split("/"), raw_path.split("/")
    if len(wanted) != len(segments):
        return None
    found: dict[str, str] = {}
    for want, segment in zip(wanted, segments, strict=True):
        if want.startswith("{"):
            found[want[1:-1]] = unquote(segment)
        elif want != segment:
            return None
    return found


def _query(request: web.BaseRequest) -> dict[str, list[str]]:
    return {name: request.query.getall(name) for name in request.query}


async def _json(request: web.BaseRequest) -> Any:
    body = await request.read()
    return json.loads(body) if body else None


async def _outcome(operation: Operation, asked: Asked) -> web.StreamResponse:
    try:
        answer = operation(asked)
        if inspect.isawaitable(answer):
            answer = await answer
    except Refusal as refusal:
        return web.json_response({"errcode": refusal.errcode, "error": "No"}, status=refusal.status)
    return web.Response(body=answer) if isinstance(answer, bytes) else web.json_response(answer)


@asynccontextmanager
async def running_peer(context: ssl.SSLContext) -> AsyncIterator[Peer]:
    """Listens on a free port until the block ends."""
    peer = Peer()
    context.sni_callback = peer.note_sni
    # Handlers that never end, on purpose, are not waited for.
    runner = web.ServerRunner(web.Server(peer.handle), shutdown_timeout=0.1)
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
