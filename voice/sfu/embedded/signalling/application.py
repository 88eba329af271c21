"""The HTTP side of a worker: `/rtc/v1` and `/rtc`, and their `validate` twins.

`/settings/regions` of LiveKit is not served: there is one region, and clients take 404 for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from voice.sfu.embedded.rooms.access import Access
from voice.sfu.embedded.rooms.door import Refused
from voice.sfu.embedded.rooms.intent import JoinIntent
from voice.sfu.embedded.rooms.leaving import NOT_JOINED
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.connection import GOODBYE_S, Connection
from voice.sfu.embedded.signalling.join import BadJoin, from_join_request, from_query

REQUEST_LINE_LIMIT = 65_536
"""Bytes; `join_request` carries a whole offer."""
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
_BEARER = "Bearer "


def build_signalling(server: RoomServer, *, v1: bool = True) -> web.Application:
    """`v1=False` plays an older server: clients get 404 there, and use protocol v0."""
    application = web.Application()
    endpoints = Signalling(server)
    handlers = {"/rtc": endpoints.join_v0, "/rtc/v1": endpoints.join_v1} if v1 else {"/rtc": endpoints.join_v0}
    for path, handler in handlers.items():
        application.router.add_get(path, handler)
        application.router.add_get(f"{path}/validate", endpoints.validate)
        application.router.add_route("OPTIONS", f"{path}/validate", _preflight)
    return application


def new_runner(server: RoomServer, *, v1: bool = True) -> web.AppRunner:
    """The application as it has to be run: requests are long, and their lines, which have tokens in them, not logged."""
    application = build_signalling(server, v1=v1)
    return web.AppRunner(application, access_log=None, max_line_size=REQUEST_LINE_LIMIT)


async def _preflight(_: web.Request) -> web.Response:
    return web.Response(headers=_CORS)


@dataclass(slots=True)
class Signalling:
    server: RoomServer

    async def validate(self, request: web.Request) -> web.Response:
        """Why a join failed, for clients that only see a WebSocket that does not open."""
        try:
            self.server.door.check(_token(request))
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.text, headers=_CORS)
        return web.Response(text="success", headers=_CORS)

    async def join_v0(self, request: web.Request) -> web.StreamResponse:
        return await self._join(request, single_peer=False)

    async def join_v1(self, request: web.Request) -> web.StreamResponse:
        return await self._join(request, single_peer=True)

    async def _join(self, request: web.Request, *, single_peer: bool) -> web.StreamResponse:
        try:
            access = self.server.door.check(_token(request))
            intent = _intent(request.query, single_peer, self.server.limits.join_request)
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.text)
        except BadJoin as bad:
            return web.Response(status=400, text=str(bad))
        return await self._serve(request, access, intent)

    async def _serve(self, request: web.Request, access: Access, intent: JoinIntent) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=self.server.limits.message, compress=False)
        if not socket.can_prepare(request):
            return web.Response(status=404, text="this is a WebSocket")
        await socket.prepare(request)
        connection = Connection(request, socket, self.server.limits, self.server.clock)
        writer = asyncio.create_task(connection.write())
        try:
            await self._talk(connection, access, intent)
        finally:
            connection.close()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(writer, GOODBYE_S)
        return socket

    async def _talk(self, connection: Connection, access: Access, intent: JoinIntent) -> None:
        try:
            session = self.server.door.enter(access, intent, connection)
        except Refused:
            connection.send(
                leave=NOT_JOINED.to_proto(intent.protocol)
            )  # the last place went while the WebSocket opened
            return
        if session is None:
            return
        try:
            await connection.read(session)
        finally:
            session.lost(connection)


def _token(request: web.Request) -> str:
    header = request.headers.get("Authorization", "")
    if header.startswith(_BEARER):
        return header.removeprefix(_BEARER)
    return request.query.get("access_token", "")


def _intent(query: Mapping[str, str], single_peer: bool, limit: int) -> JoinIntent:
    """Raises BadJoin."""
    if not single_peer:
        return from_query(query)
    if "join_request" not in query:
        raise BadJoin("join_request is required")
    return from_join_request(query["join_request"], limit)
