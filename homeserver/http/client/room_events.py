"""Client-server API, "Sending events to a room" and "Redactions"; with a delay, as MSC4140 had it first and clients do it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from homeserver.http.client.delayed_events import sticky_duration
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import Unknown
from homeserver.services.delayed_events.schedule import DelayedDraft, MaxDelayExceeded, ScheduleEvent
from homeserver.services.relations.redact_related import RedactWithRelated
from homeserver.services.rooms.send_event import SendEvent
from homeserver.services.rooms.set_state import SetState

ROOM = "/_matrix/client/v3/rooms/{room_id}"
TXN_ID_BYTES = 16
MAX_TIME_MS = 2**53 - 1
DELAY_PARAMETER = "org.matrix.msc4140.delay"


@dataclass(frozen=True, slots=True)
class RoomEventEndpoints:
    """What members say."""

    send: SendEvent
    set_state: SetState
    redact: RedactWithRelated
    schedule: ScheduleEvent

    @endpoint("PUT", ROOM + "/send/{event_type}/{txn_id}", guests=True, body=dict, limit="message")
    async def send_event(self, request: Request[dict[str, Any]]) -> Response:
        path, sticky_ms = request.path, sticky_duration(request.query)
        delay_ms = request.query.integer(DELAY_PARAMETER, minimum=1)
        if delay_ms is not None:
            draft = DelayedDraft(path["room_id"], path["event_type"], None, request.body, delay_ms, sticky_ms)
            return await self._delay(request, draft, path["txn_id"])
        event_id = await self.send(
            request.requester,
            path["room_id"],
            path["event_type"],
            request.body,
            path["txn_id"],
            sticky_ms,
            massaged_time(request),
        )
        return {"event_id": event_id}

    async def _delay(self, request: Request[dict[str, Any]], draft: DelayedDraft, txn_id: str | None) -> Response:
        try:
            return {"delay_id": await self.schedule(request.requester, draft, "send", txn_id)}
        except MaxDelayExceeded as error:
            # Who asks in this way knows no errcode of its own for it.
            raise Unknown(error.message, **error.data) from None

    @endpoint("POST", ROOM + "/send/{event_type}", guests=True, body=dict, limit="message")
    async def send_another_event(self, request: Request[dict[str, Any]]) -> Response:
        """From before the specification: without a transaction id, the same request again is another event."""
        room_id, event_type = request.path["room_id"], request.path["event_type"]
        txn_id = secrets.token_urlsafe(TXN_ID_BYTES)
        return {"event_id": await self.send(request.requester, room_id, event_type, request.body, txn_id)}

    @endpoint(
        "PUT",
        ROOM + "/state/{event_type}",
        ROOM + "/state/{event_type}/{state_key}",
        guests=True,
        body=dict,
        limit="message",
    )
    async def set_room_state(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        room_id, event_type, state_key = path["room_id"], path["event_type"], path.get("state_key", "")
        delay_ms = request.query.integer(DELAY_PARAMETER, minimum=1)
        if delay_ms is not None:
            return await self._delay(
                request, DelayedDraft(room_id, event_type, state_key, request.body, delay_ms), None
            )
        event_id = await self.set_state(
            request.requester, room_id, event_type, state_key, request.body, sent_ms=massaged_time(request)
        )
        return {"event_id": event_id}

    @endpoint("POST", ROOM + "/redact/{event_id}", body=dict, empty_body=True, limit="message")
    async def redact_without_transaction(self, request: Request[dict[str, Any]]) -> Response:
        """From before the specification, as `send_another_event`."""
        room_id, event_id = request.path["room_id"], request.path["event_id"]
        txn_id = secrets.token_urlsafe(TXN_ID_BYTES)
        return {"event_id": await self.redact(request.requester, room_id, event_id, request.body, txn_id)}

    @endpoint("PUT", ROOM + "/redact/{event_id}/{txn_id}", body=dict, empty_body=True, limit="message")
    async def redact_event(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        event_id = await self.redact(request.requester, path["room_id"], path["event_id"], request.body, path["txn_id"])
        return {"event_id": event_id}


def massaged_time(request: Request[Any]) -> int | None:
    """When an application service says that an event was sent ("Timestamp massaging"); of others that means nothing."""
    if request.requester.appservice_id is None:
        return None
    return request.query.integer("ts", minimum=0, maximum=MAX_TIME_MS)
