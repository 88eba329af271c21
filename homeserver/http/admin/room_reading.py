"""Rooms read by administrators, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.client.event_json import context_json, json_list, limit_of, messages_json, room_event_filter
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import MissingParam
from homeserver.services.administration.room_reading import RoomReading
from homeserver.services.spaces.hierarchy import DEFAULT_LIMIT, HierarchyQuery
from homeserver.services.timeline.messages import MessagesQuery

V1 = "/_synapse/admin/v1"
ROOM = f"{V1}/rooms/{{room_id}}"


@dataclass(frozen=True, slots=True)
class RoomReadingEndpoints:
    """All for administrators."""

    rooms: RoomReading

    @endpoint("GET", f"{ROOM}/members", auth=Auth.ADMIN)
    async def members(self, request: Request[None]) -> Response:
        members = await self.rooms.members(request.path["room_id"])
        return {"members": members, "total": len(members)}

    @endpoint("GET", f"{ROOM}/state", auth=Auth.ADMIN)
    async def state(self, request: Request[None]) -> Response:
        """`type`: of this type only."""
        return {"state": json_list(await self.rooms.state(request.path["room_id"], request.query.string("type")))}

    @endpoint("GET", f"{ROOM}/messages", auth=Auth.ADMIN, limit="administration")
    async def messages(self, request: Request[None]) -> Response:
        """Forwards, unless `dir` says otherwise; without `from` from the end at which that begins."""
        query, event_filter = request.query, room_event_filter(request.query)
        wanted = MessagesQuery(
            backwards=query.one_of("dir", ("b", "f"), "f") == "b",
            limit=limit_of(query, event_filter),
            start=query.string("from"),
            stop=query.string("to"),
            filter=event_filter,
        )
        page = await self.rooms.messages(request.requester, request.path["room_id"], wanted)
        return messages_json(page)

    @endpoint("GET", f"{ROOM}/context/{{event_id}}", auth=Auth.ADMIN, limit="administration")
    async def context(self, request: Request[None]) -> Response:
        path, event_filter = request.path, room_event_filter(request.query)
        limit = limit_of(request.query, event_filter)
        return context_json(
            await self.rooms.context(request.requester, path["room_id"], path["event_id"], limit, event_filter)
        )

    @endpoint("GET", f"{ROOM}/timestamp_to_event", auth=Auth.ADMIN)
    async def timestamp_to_event(self, request: Request[None]) -> Response:
        ts = request.query.integer("ts")
        if ts is None:
            raise MissingParam("Missing query parameter 'ts'")
        forwards = request.query.one_of("dir", ("f", "b"), "f") == "f"
        event_id, time_ms = await self.rooms.event_at_time(
            request.requester, request.path["room_id"], ts, forwards=forwards
        )  # fmt: skip
        return {"event_id": event_id, "origin_server_ts": time_ms}

    @endpoint("GET", f"{ROOM}/hierarchy", auth=Auth.ADMIN, limit="administration")
    async def hierarchy(self, request: Request[None]) -> Response:
        """Of rooms that this server knows; others are not asked."""
        query = request.query
        wanted = HierarchyQuery(
            query.integer("limit", DEFAULT_LIMIT, minimum=0),
            query.integer("max_depth", minimum=0),
            None,
            query.string("from"),
        )
        page = await self.rooms.below(request.requester, request.path["room_id"], wanted)
        rooms = [room.chunk(suggested_only=False) for room in page.rooms]
        return {"rooms": rooms} if page.next_batch is None else {"rooms": rooms, "next_batch": page.next_batch}

    @endpoint("GET", f"{V1}/fetch_event/{{event_id}}", auth=Auth.ADMIN, limit="administration")
    async def event(self, request: Request[None]) -> Response:
        return {"event": await self.rooms.event(request.requester, request.path["event_id"])}
