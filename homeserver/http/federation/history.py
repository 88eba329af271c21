"""Server-server API, "Backfilling and retrieving missing events", "Retrieving events"."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import orjson

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.limits import MAX_INTEGER
from homeserver.http.request import Request
from homeserver.http.responses import Response, Stream
from homeserver.protocol import errors

ROOT = "/_matrix/federation/v1"
MAX_BODY_BYTES = 256 * 1024
DEFAULT_MISSING = 10
JSON = "application/json"


class Past(Protocol):
    """Implemented by federation/serving/past.py. PDUs are JSON."""

    async def event(self, origin: str, event_id: str) -> bytes: ...
    async def backfill(self, origin: str, room_id: str, starts: Sequence[str], limit: int) -> list[bytes]: ...
    async def missing(
        self, origin: str, room_id: str, latest: Sequence[str], earliest: Sequence[str], *, limit: int, min_depth: int
    ) -> list[bytes]: ...


class States(Protocol):
    """Implemented by federation/serving/states.py. What streams is JSON."""

    async def ids(self, origin: str, room_id: str, event_id: str) -> tuple[list[str], list[str]]: ...
    async def whole(self, origin: str, room_id: str, event_id: str) -> AsyncIterator[bytes]: ...
    async def event_auth(self, origin: str, room_id: str, event_id: str) -> AsyncIterator[bytes]: ...


class EventAtTime(Protocol):
    """Implemented by federation/serving/event_at_time.py."""

    async def __call__(self, origin: str, room_id: str, ts: int, *, forwards: bool) -> tuple[str, int]: ...


class MissingEventsBody(msgspec.Struct):
    # Required, but other servers take them for empty where they are left out.
    earliest_events: list[str] = []
    latest_events: list[str] = []
    limit: int = DEFAULT_MISSING
    min_depth: int = 0


@dataclass(frozen=True, slots=True)
class HistoryEndpoints:
    """What servers in a room ask to have the same history as we."""

    server_name: str
    now_ms: Callable[[], int]
    past: Past
    states: States
    at_time: EventAtTime

    @endpoint("GET", f"{ROOT}/event/{{event_id}}", auth=Auth.SERVER, limit="federation")
    async def event(self, request: Request[None]) -> Response:
        return self._transaction([await self.past.event(request.origin, request.path["event_id"])])

    @endpoint("GET", f"{ROOT}/backfill/{{room_id}}", auth=Auth.SERVER, limit="federation")
    async def backfill(self, request: Request[None]) -> Response:
        starts, limit = request.query.strings("v"), request.query.integer("limit", minimum=1)
        if not starts or limit is None:
            raise errors.MissingParam("'v' and 'limit' say where to begin, and when to stop")
        return self._transaction(await self.past.backfill(request.origin, request.path["room_id"], starts, limit))

    @endpoint(
        "POST",
        f"{ROOT}/get_missing_events/{{room_id}}",
        auth=Auth.SERVER,
        body=MissingEventsBody,
        limit="federation",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def missing_events(self, request: Request[MissingEventsBody]) -> Response:
        body = request.body
        if body.limit < 0:
            raise errors.InvalidParam("'limit' must not be negative")
        events = await self.past.missing(
            request.origin,
            request.path["room_id"],
            body.latest_events,
            body.earliest_events,
            limit=body.limit,
            min_depth=body.min_depth,
        )
        return {"events": _fragments(events)}

    @endpoint("GET", f"{ROOT}/state_ids/{{room_id}}", auth=Auth.SERVER, limit="federation_state")
    async def state_ids(self, request: Request[None]) -> Response:
        state, chain = await _of_event(self.states.ids, request)
        return {"pdu_ids": state, "auth_chain_ids": chain}

    @endpoint("GET", f"{ROOT}/state/{{room_id}}", auth=Auth.SERVER, limit="federation_state")
    async def state(self, request: Request[None]) -> Response:
        return Stream(await _of_event(self.states.whole, request), JSON)

    @endpoint("GET", f"{ROOT}/event_auth/{{room_id}}/{{event_id}}", auth=Auth.SERVER, limit="federation_state")
    async def event_auth(self, request: Request[None]) -> Response:
        path = request.path
        return Stream(await self.states.event_auth(request.origin, path["room_id"], path["event_id"]), JSON)

    @endpoint("GET", f"{ROOT}/timestamp_to_event/{{room_id}}", auth=Auth.SERVER, limit="federation")
    async def timestamp_to_event(self, request: Request[None]) -> Response:
        ts = request.query.integer("ts", minimum=-MAX_INTEGER)
        direction = request.query.one_of("dir", ("f", "b"))
        if ts is None or direction is None:
            raise errors.MissingParam("'ts' and 'dir' say when, and which way to search")
        event_id, at_ms = await self.at_time(request.origin, request.path["room_id"], ts, forwards=direction == "f")
        return {"event_id": event_id, "origin_server_ts": at_ms}

    def _transaction(self, pdus: Sequence[bytes]) -> dict[str, Any]:
        return {"origin": self.server_name, "origin_server_ts": self.now_ms(), "pdus": _fragments(pdus)}


async def _of_event(verb: Callable[[str, str, str], Awaitable[Any]], request: Request[None]) -> Any:
    return await verb(request.origin, request.path["room_id"], request.query.required("event_id"))


def _fragments(pdus: Sequence[bytes]) -> list[orjson.Fragment]:
    return [orjson.Fragment(pdu) for pdu in pdus]
