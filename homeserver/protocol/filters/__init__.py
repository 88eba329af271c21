"""Filters: what a client wants to see of events. Client-server API, "Filtering"."""

from homeserver.protocol.filters.event_fields import pick_fields
from homeserver.protocol.filters.filter import EventFilter, Filter, Filterable, RoomEventFilter, RoomFilter
from homeserver.protocol.filters.parsing import parse_filter, parse_room_event_filter

__all__ = [
    "EventFilter",
    "Filter",
    "Filterable",
    "RoomEventFilter",
    "RoomFilter",
    "parse_filter",
    "parse_room_event_filter",
    "pick_fields",
]
