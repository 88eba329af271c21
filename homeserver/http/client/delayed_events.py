"""Delayed events: MSC4140, and MSC4486 for the list. Scheduling by `/send` and `/state` is in room_events.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.limits import MAX_INTEGER
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol.errors import InvalidParam, MissingParam
from homeserver.protocol.sticky import MAX_STICKY_MS
from homeserver.services.delayed_events.delayed_events import DelayedEvents
from homeserver.services.delayed_events.listing import ReadDelayedEvents
from homeserver.services.delayed_events.schedule import DelayedDraft, ScheduleEvent
from homeserver.storage.delayed_events import PageOfDelayed

UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140"
EVENTS = UNSTABLE + "/delayed_events"
LIST = "/_matrix/client/unstable/org.matrix.msc4486/delayed_events"
STATUSES = ("scheduled", "sent", "cancelled", "failed", "finalised")
MAX_DELAY_IDS = 100
STICKY_PARAMETER = "org.matrix.msc4354.sticky_duration_ms"


class DelayedEventBody(msgspec.Struct):
    """Both names of the delay are in use."""

    content: dict[str, Any]
    delay_ms: int | None = None
    delay: int | None = None
    state_key: str | None = None


class ActionBody(msgspec.Struct):
    """What clients send that know MSC4140 as it was before."""

    action: str


@dataclass(frozen=True, slots=True)
class DelayedEventEndpoints:
    """Those that name a delay id ask for no token: "knowledge of the `delay_id` alone" is enough."""

    schedule: ScheduleEvent
    delayed: DelayedEvents
    read: ReadDelayedEvents

    @endpoint(
        "PUT",
        UNSTABLE + "/rooms/{room_id}/delayed_event/{event_type}/{txn_id}",
        guests=True,
        suspended=False,
        body=DelayedEventBody,
        limit="message",
    )
    async def schedule_event(self, request: Request[DelayedEventBody]) -> Response:
        path, body = request.path, request.body
        draft = DelayedDraft(
            path["room_id"],
            path["event_type"],
            body.state_key,
            body.content,
            _delay(body),
            sticky_duration(request.query),
        )
        return {"delay_id": await self.schedule(request.requester, draft, "delayed", path["txn_id"])}

    @endpoint("POST", EVENTS + "/{delay_id}/restart", auth=Auth.NONE, limit="delayed_event")
    async def restart(self, request: Request[None]) -> Response:
        await self.delayed.restart(request.path["delay_id"])
        return {}

    @endpoint("POST", EVENTS + "/{delay_id}/cancel", auth=Auth.NONE, limit="delayed_event")
    async def cancel(self, request: Request[None]) -> Response:
        await self.delayed.cancel(request.path["delay_id"])
        return {}

    @endpoint("POST", EVENTS + "/{delay_id}/send", auth=Auth.NONE, limit="delayed_event")
    async def send(self, request: Request[None]) -> Response:
        await self.delayed.send_now(request.path["delay_id"])
        return {}

    @endpoint("POST", EVENTS + "/{delay_id}", auth=Auth.NONE, body=ActionBody, limit="delayed_event")
    async def act(self, request: Request[ActionBody]) -> Response:
        delay_id = request.path["delay_id"]
        match request.body.action:
            case "restart":
                await self.delayed.restart(delay_id)
            case "cancel":
                await self.delayed.cancel(delay_id)
            case "send":
                await self.delayed.send_now(delay_id)
            case _:
                raise InvalidParam("'action' is one of restart, cancel and send")
        return {}

    @endpoint("GET", EVENTS + "/{delay_id}", guests=True)
    async def look_at(self, request: Request[None]) -> Response:
        return Raw(orjson.dumps(await self.read.one(request.requester.user_id, request.path["delay_id"])))

    @endpoint("GET", EVENTS, LIST, guests=True)
    async def list_mine(self, request: Request[None]) -> Response:
        query = request.query
        page = await self.read.page(request.requester.user_id, _wanted(query), query.string("from"))
        body: dict[str, Any] = {"delayed_events": page.events}
        if page.next_batch is not None:
            body["next_batch"] = page.next_batch
        return Raw(orjson.dumps(body))


def sticky_duration(query: Query) -> int | None:
    """For how long the event is to stick (MSC4354). Raises InvalidParam; longer than an hour is cut down to that."""
    return query.integer(STICKY_PARAMETER, minimum=0, maximum=MAX_STICKY_MS)


def _delay(body: DelayedEventBody) -> int:
    delay = body.delay if body.delay_ms is None else body.delay_ms
    if delay is None:
        raise MissingParam("'delay' is missing")
    if delay < 1:
        raise InvalidParam("'delay' must be at least 1")
    return delay


def _wanted(query: Query) -> PageOfDelayed:
    delay_ids = query.strings("delay_id")
    if len(delay_ids) > MAX_DELAY_IDS:
        raise InvalidParam(f"At most {MAX_DELAY_IDS} of 'delay_id'")
    return PageOfDelayed(
        from_ms=query.integer("from_ts", 0, minimum=0),
        to_ms=query.integer("to_ts", MAX_INTEGER, minimum=0),
        limit=0,
        backwards=query.one_of("dir", ("f", "b"), "f") == "b",
        room_id=query.string("room_id"),
        event_type=query.string("type"),
        delay_ids=delay_ids or None,
        status=query.one_of("status", STATUSES),
    )
