"""Client-server API, "Server Side Search"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import orjson

from homeserver.http.client.event_json import json_list
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.filters import parse_room_event_filter
from homeserver.services.search.request import (
    DEFAULT_CONTEXT,
    MAX_CONTEXT,
    ContextWish,
    SearchRequest,
    check_size,
    identity_of,
    searched_types,
)
from homeserver.services.search.search import SearchMessages, SearchPage
from homeserver.services.search.showing import ShownContext, ShownHit

MAX_BODY_BYTES = 256 * 1024


class ContextBody(msgspec.Struct):
    before_limit: int | None = None
    after_limit: int | None = None
    include_profile: bool | None = None


class GroupBody(msgspec.Struct):
    key: Literal["room_id", "sender"]


class GroupingsBody(msgspec.Struct):
    group_by: list[GroupBody] | None = None


class RoomEventsBody(msgspec.Struct):
    search_term: str
    keys: list[str] | None = None
    filter: dict[str, Any] | None = None
    order_by: Literal["rank", "recent"] | None = None
    event_context: ContextBody | None = None
    include_state: bool | None = None
    groupings: GroupingsBody | None = None


class CategoriesBody(msgspec.Struct):
    room_events: RoomEventsBody | None = None


class SearchBody(msgspec.Struct):
    search_categories: CategoriesBody


@dataclass(frozen=True, slots=True)
class SearchEndpoints:
    """One endpoint."""

    search: SearchMessages

    @endpoint("POST", "/_matrix/client/v3/search", body=SearchBody, limit="search", max_body_bytes=MAX_BODY_BYTES)
    async def find(self, request: Request[SearchBody]) -> Response:
        """What was said in the requester's rooms."""
        criteria = request.body.search_categories.room_events
        if criteria is None:
            return {"search_categories": {}}
        wanted = search_request(request.requester.user_id, criteria)
        page = await self.search(request.requester, wanted, request.query.string("next_batch"))
        return {"search_categories": {"room_events": page_json(page, wanted)}}


def search_request(user_id: str, body: RoomEventsBody) -> SearchRequest:
    """Raises BadJson, InvalidParam."""
    event_filter = parse_room_event_filter(body.filter or {}, "filter")
    check_size(event_filter)
    by_rank = body.order_by != "recent"
    keys = None if body.keys is None else sorted(set(body.keys))
    finding = {key: value for key, value in (body.filter or {}).items() if key != "limit"}
    groups = [] if body.groupings is None else body.groupings.group_by or []
    return SearchRequest(
        term=body.search_term,
        filter=event_filter,
        types=searched_types(keys, event_filter),
        by_rank=by_rank,
        context=None if body.event_context is None else context_wish(body.event_context),
        include_state=bool(body.include_state),
        group_by=list(dict.fromkeys(group.key for group in groups)),
        identity=identity_of(user_id, body.search_term, keys, by_rank, finding),
    )


def context_wish(body: ContextBody) -> ContextWish:
    """Limits are wishes. Raises InvalidParam for less than none."""
    before = DEFAULT_CONTEXT if body.before_limit is None else body.before_limit
    after = DEFAULT_CONTEXT if body.after_limit is None else body.after_limit
    if before < 0 or after < 0:
        raise InvalidParam("'before_limit' and 'after_limit' must not be negative")
    return ContextWish(min(before, MAX_CONTEXT), min(after, MAX_CONTEXT), bool(body.include_profile))


def page_json(page: SearchPage, wanted: SearchRequest) -> dict[str, Any]:
    """`ResultRoomEvents`; what was not asked for is left out."""
    answer: dict[str, Any] = {
        "count": page.count,
        "highlights": list(page.highlights),
        "results": [_result(each) for each in page.results],
    }
    if wanted.include_state:
        answer["state"] = {room_id: json_list(events) for room_id, events in page.state.items()}
    if wanted.group_by:
        answer["groups"] = page.groups
    if page.next_batch is not None:
        answer["next_batch"] = page.next_batch
    return answer


def _result(shown: ShownHit) -> dict[str, Any]:
    result: dict[str, Any] = {"rank": shown.hit.rank, "result": orjson.Fragment(shown.event)}
    if shown.context is not None:
        result["context"] = _context(shown.context)
    return result


def _context(context: ShownContext) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "events_before": json_list(context.before),
        "events_after": json_list(context.after),
        "start": context.start,
        "end": context.end,
    }
    if context.profiles is not None:
        answer["profile_info"] = context.profiles
    return answer
