"""What the endpoints that read rooms have in common: filters in queries, events that are JSON already, whole answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from homeserver.http.query import Query
from homeserver.protocol.canonical_json import decode_json
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.filters import RoomEventFilter, parse_room_event_filter
from homeserver.services.timeline.context import EventContext
from homeserver.services.timeline.messages import MessagesPage

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
MAX_FILTER_CHARACTERS = 65_536


def json_list(parts: Iterable[bytes]) -> orjson.Fragment:
    """An array of values that are JSON already."""
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def messages_json(page: MessagesPage) -> dict[str, Any]:
    """The answer of /messages."""
    answer: dict[str, Any] = {"chunk": json_list(page.chunk), "start": page.start}
    if page.end is not None:
        answer["end"] = page.end
    if page.state is not None:
        answer["state"] = json_list(page.state)
    return answer


def context_json(context: EventContext) -> dict[str, Any]:
    """The answer of /context."""
    return {
        "event": orjson.Fragment(context.event),
        "events_before": json_list(context.before),
        "events_after": json_list(context.after),
        "state": json_list(context.state),
        "start": context.start,
        "end": context.end,
    }


def room_event_filter(query: Query) -> RoomEventFilter:
    """The `filter` of a query: "A JSON RoomEventFilter". Raises NotJson, BadJson, InvalidParam."""
    text = query.string("filter")
    if text is None:
        return RoomEventFilter()
    if len(text) > MAX_FILTER_CHARACTERS:
        raise InvalidParam("The filter is too long")
    return parse_room_event_filter(decode_json(text))


def limit_of(query: Query, event_filter: RoomEventFilter) -> int:
    """How many events: the smaller of the two places where a client may say so, 1000 at most."""
    limit = query.integer("limit", DEFAULT_LIMIT, minimum=0, maximum=MAX_LIMIT)
    return limit if event_filter.limit is None else min(limit, event_filter.limit)
