"""The HTTP edge: one handler for every request of one listener.

    route -> authenticate -> rate limit -> decode the body -> handler -> encode, and errors to JSON on the way

It is handed to aiohttp's low-level server (server.py) and replaces aiohttp's application, router and middlewares: one
function call per step instead of a stack of coroutines around each request.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from homeserver.http import cors
from homeserver.http.auth import (
    Authenticator,
    NoServers,
    ServerAuthenticator,
    authenticate,
    check_allowed,
    find_token,
)
from homeserver.http.body import read_body, stream_body
from homeserver.http.endpoint import Auth
from homeserver.http.errors import answer_to
from homeserver.http.limits import ClientAddresses, RateLimiter
from homeserver.http.observer import UNROUTED, Finished, NoObserver, Observer
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Json, Raw, Redirect, Response, Socket, Stream, encode_json
from homeserver.http.router import Route, Router
from homeserver.http.sockets import OpenSocket, check_opens_socket, open_socket

if TYPE_CHECKING:
    from homeserver.services.requester import Requester

log = logging.getLogger(__name__)

NO_HEADERS: Mapping[str, str] = {}
# Below this a compressed answer saves nothing: it fits into one packet anyway.
MIN_COMPRESSED_BYTES = 1400


def _request_ids() -> Iterator[str]:
    """Short, unique in the log of one process and, with its random prefix, across restarts."""
    prefix = secrets.token_hex(3)
    return (f"{prefix}-{number:x}" for number in itertools.count(1))


@dataclass(slots=True)
class Edge:
    """Answers requests with the endpoints of one router. Call `handle` for each."""

    router: Router
    authenticator: Authenticator
    rate_limiter: RateLimiter
    addresses: ClientAddresses = field(default_factory=ClientAddresses)
    observer: Observer = field(default_factory=NoObserver)
    servers: ServerAuthenticator = field(default_factory=NoServers)
    token_in_query: bool = True
    compress: bool = False
    waiting: dict[Any, asyncio.Task[Any]] = field(default_factory=dict)
    """Long polls and WebSockets by their connection, so that one can be given up when its client goes away."""
    _ids: Iterator[str] = field(default_factory=_request_ids)

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises nothing but CancelledError."""
        started = time.perf_counter()
        raw_path, _, raw_query = _target_of(http).partition("?")
        record = Finished(
            request_id=next(self._ids),
            method=http.method,
            raw_path=raw_path,
            endpoint=UNROUTED,
            status=200,
            duration_ms=0.0,
            user_id=None,
            remote_address=self.addresses.resolve(http.remote or "", http.headers),
            response_bytes=0,
            errcode=None,
        )
        response = await self._answer(http, raw_query, record)
        record.status = response.status
        record.response_bytes = response.content_length or 0
        record.duration_ms = (time.perf_counter() - started) * 1000
        self.observer.request_finished(record)
        if isinstance(response, OpenSocket):
            # Reported when it opened: hours of a conversation are not the duration of a request.
            await self._converse(http, response)
        return response

    async def _answer(self, http: web.BaseRequest, raw_query: str, record: Finished) -> web.StreamResponse:
        if http.method == "OPTIONS":
            # "the server MUST NOT perform any logic defined for the endpoints when approached with an OPTIONS request"
            return web.Response(status=204, headers=cors.PREFLIGHT_HEADERS)
        try:
            route, path = self.router.find(http.method, record.raw_path)
            record.endpoint = route.path
            result = await self._call(route, path, http, Query(raw_query), record)
            if isinstance(result, Stream):
                return await _stream(http, result, route.declaration.time_limit_ms)
            if isinstance(result, Socket):
                return await open_socket(http, result)
            return self._to_http(http, result)
        except Exception as error:
            if http.transport is None and isinstance(error, ConnectionError):
                return web.Response(status=499)  # the client is gone: nobody reads this, but the log says so
            answer = answer_to(error, record.request_id)
            record.errcode = answer.body.get("errcode")
            return _json(answer.status, answer.body, answer.headers)

    async def _call(
        self, route: Route, path: dict[str, str], http: web.BaseRequest, query: Query, record: Finished
    ) -> Response:
        declaration = route.declaration
        if declaration.websocket:
            check_opens_socket(http)
        async with asyncio.timeout(declaration.time_limit_ms / 1000):
            if declaration.auth is Auth.SERVER:
                return await self._call_from_server(route, path, http, query, record)
            headers = http.headers
            token = find_token(headers, query, in_query=self.token_in_query)
            user_agent = headers.get("User-Agent", "")
            requester = await self._requester(route, token, query, record.remote_address, user_agent)
            if requester is not None:
                record.user_id = requester.user_id
            if declaration.limit != "none":
                self.rate_limiter.check(declaration.limit, requester, record.remote_address)
            body = None
            if route.decode is not None:
                body = route.decode(await read_body(http, declaration.max_body_bytes))
            request: Request[Any] = Request(
                method=http.method,
                raw_path=record.raw_path,
                path=path,
                query=query,
                headers=headers,
                body=body,
                requester=requester,
                access_token=token,
                remote_address=record.remote_address,
                user_agent=user_agent,
                request_id=record.request_id,
                stream=lambda: stream_body(http, declaration.max_body_bytes),
            )
            if not declaration.waits:
                return await route.handler(request)
            return await self._wait(route, request, http)

    async def _call_from_server(
        self, route: Route, path: dict[str, str], http: web.BaseRequest, query: Query, record: Finished
    ) -> Response:
        """The signature is over the body too, so that is read before anything is believed."""
        declaration, headers = route.declaration, http.headers
        body = await read_body(http, declaration.max_body_bytes)
        origin = await self.servers.authenticate(
            headers.getall("Authorization", ()),
            method=http.method,
            uri=_target_of(http),
            body=body,
            remote_address=record.remote_address,
        )
        record.user_id = origin
        if declaration.limit != "none":
            self.rate_limiter.check(declaration.limit, None, origin)
        request: Request[Any] = Request(
            method=http.method,
            raw_path=record.raw_path,
            path=path,
            query=query,
            headers=headers,
            body=None if route.decode is None else route.decode(body),
            remote_address=record.remote_address,
            user_agent=headers.get("User-Agent", ""),
            request_id=record.request_id,
            origin=origin,
        )
        return await route.handler(request)

    async def _requester(
        self, route: Route, token: str | None, query: Query, remote_address: str, user_agent: str
    ) -> Requester | None:
        auth = route.declaration.auth
        if auth is Auth.NONE:
            return None
        requester = None
        if token is not None:
            requester = await authenticate(
                self.authenticator, token, query, remote_address=remote_address, user_agent=user_agent
            )
        check_allowed(route.declaration, requester)
        return requester

    async def _wait(self, route: Route, request: Request[Any], http: web.BaseRequest) -> Response:
        """Run a long poll so that `connection_lost` can find and cancel it."""
        task = asyncio.current_task()
        assert task is not None
        self.waiting[http.protocol] = task
        try:
            return await route.handler(request)
        finally:
            self.waiting.pop(http.protocol, None)

    async def _converse(self, http: web.BaseRequest, socket: OpenSocket) -> None:
        """Until both are done, the client goes away or the server stops."""
        task = asyncio.current_task()
        assert task is not None
        self.waiting[http.protocol] = task
        try:
            await socket.converse()
        finally:
            self.waiting.pop(http.protocol, None)

    def connection_lost(self, connection: object) -> None:
        """Give up the long poll or WebSocket of a connection that is gone. Other requests run to their end: they write."""
        task = self.waiting.pop(connection, None)
        if task is not None:
            task.cancel()

    def give_up_waiting(self) -> None:
        """Give up all long polls and WebSockets, when the server stops: their clients come back to the next one."""
        for task in list(self.waiting.values()):
            task.cancel()

    def _to_http(self, http: web.BaseRequest, result: Response) -> web.Response:
        match result:
            case Json(status, body, headers):
                return self._compressed(http, _json(status, body, headers))
            case Raw(content, content_type, status, headers):
                return self._compressed(http, _bytes(status, content, content_type, headers))
            case Redirect(location, status, headers):
                return web.Response(status=status, headers={**cors.HEADERS, **headers, "Location": location})
            case _:
                return self._compressed(http, _json(200, result, NO_HEADERS))

    def _compressed(self, http: web.BaseRequest, response: web.Response) -> web.Response:
        worthwhile = self.compress and (response.content_length or 0) >= MIN_COMPRESSED_BYTES
        if worthwhile and "gzip" in http.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        return response


def _target_of(http: web.BaseRequest) -> str:
    """Path and query as sent. A proxy may send the absolute form, `GET http://server/path`."""
    target = http.raw_path
    return target if target.startswith("/") else http.rel_url.raw_path_qs


def _json(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    merged = {**cors.JSON_HEADERS, **headers} if headers else cors.JSON_HEADERS
    return web.Response(status=status, body=encode_json(body), headers=merged)


def _bytes(status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, body=body, headers={**cors.HEADERS, "Content-Type": content_type, **headers})


async def _stream(http: web.BaseRequest, stream: Stream, time_limit_ms: int) -> web.StreamResponse:
    """Send pieces as they come. The first is made before the status line: its failure is still an error answer."""
    chunks = aiter(stream.chunks)
    first = await anext(chunks, b"")
    headers = {**cors.HEADERS, "Content-Type": stream.content_type, **stream.headers}
    response = web.StreamResponse(status=stream.status, headers=headers)
    if stream.length is not None:
        response.content_length = stream.length
    await response.prepare(http)
    if http.method != "HEAD":
        await _write_all(http, response, first, chunks, time_limit_ms)
    return response


async def _write_all(
    http: web.BaseRequest,
    response: web.StreamResponse,
    first: bytes,
    chunks: AsyncIterator[bytes],
    time_limit_ms: int,
) -> None:
    """Write the rest of a stream. A failure halfway cuts the connection: nothing else tells the client."""
    try:
        async with asyncio.timeout(time_limit_ms / 1000):
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
    except ConnectionError:
        pass  # the client went away
    except Exception as error:
        if isinstance(error, TimeoutError):
            log.info("a streamed answer was given up: the client reads too slowly")
        else:
            log.exception("a streamed answer broke off")
        response.force_close()
        if http.transport is not None:
            # Not close: that would wait until the client has read what is under way.
            http.transport.abort()
