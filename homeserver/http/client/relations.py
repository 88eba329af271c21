"""Client-server API, "Relationships API" and "Querying threads in a room"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from homeserver.http.client.event_json import MAX_LIMIT, json_list
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.relations.related_events import ReadRelations, RelationsQuery
from homeserver.services.relations.threads_of_room import ReadThreads
from homeserver.storage.relations import MAX_DEPTH

ROOM: Final = "/_matrix/client/v1/rooms/{room_id}"
RELATIONS: Final = ROOM + "/relations/{event_id}"
DEFAULT_LIMIT: Final = 20
MAX_THREADS: Final = 100
# As MSC3981 had it first.
UNSTABLE_RECURSE: Final = "org.matrix.msc3981.recurse"


@dataclass(frozen=True, slots=True)
class RelationsEndpoints:
    """Children of an event, and threads of a room."""

    read: ReadRelations
    threads: ReadThreads

    @endpoint(
        "GET", RELATIONS, RELATIONS + "/{rel_type}", RELATIONS + "/{rel_type}/{event_type}", guests=True
    )  # fmt: skip
    async def relations(self, request: Request[None]) -> Response:
        query = _parse(request)
        page = await self.read(request.requester, query)
        answer: dict[str, Any] = {"chunk": json_list(page.chunk)}
        if page.next_batch is not None:
            answer["next_batch"] = page.next_batch
        if page.prev_batch is not None:
            answer["prev_batch"] = page.prev_batch
        if "recurse" in request.query or UNSTABLE_RECURSE in request.query:
            # "If the `recurse` parameter was supplied by the client, this response field is mandatory".
            answer["recursion_depth"] = MAX_DEPTH if query.recurse else 1
        return answer

    @endpoint("GET", ROOM + "/threads", guests=True)
    async def threads_of_room(self, request: Request[None]) -> Response:
        query = request.query
        page = await self.threads(
            request.requester,
            request.path["room_id"],
            limit=query.integer("limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_THREADS),
            start=query.string("from"),
            participated=query.one_of("include", ("all", "participated")) == "participated",
        )
        answer: dict[str, Any] = {"chunk": json_list(page.chunk)}
        if page.next_batch is not None:
            answer["next_batch"] = page.next_batch
        return answer


def _parse(request: Request[None]) -> RelationsQuery:
    path, query = request.path, request.query
    return RelationsQuery(
        room_id=path["room_id"],
        event_id=path["event_id"],
        limit=query.integer("limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
        rel_type=path.get("rel_type"),
        event_type=path.get("event_type"),
        backwards=query.one_of("dir", ("b", "f")) != "f",
        start=query.string("from"),
        stop=query.string("to"),
        recurse=query.boolean("recurse") or query.boolean(UNSTABLE_RECURSE),
    )
