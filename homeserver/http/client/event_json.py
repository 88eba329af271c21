"""What the endpoints that read rooms have in common: filters in queries, events that are JSON already."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from homeserver.http.query import Query
from homeserver.protocol.canonical_json import decode_json
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.filters import RoomEventFilter, parse_room_event_filter

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
MAX_FILTER_CHARACTERS = 65_536


def json_list(parts: Iterable[bytes]) -> orjson.Fragment:
    """An array of values that are JSON already."""
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


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
