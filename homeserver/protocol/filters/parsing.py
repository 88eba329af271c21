"""Filters from JSON. What has the wrong type is M_BAD_JSON, what is too much or malformed M_INVALID_PARAM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from homeserver.protocol.errors import BadJson, InvalidParam
from homeserver.protocol.filters.choice import EMPTY, Choice, TypeChoice, TypePatterns
from homeserver.protocol.filters.filter import EventFilter, EventFormat, Filter, RoomEventFilter, RoomFilter
from homeserver.protocol.identifiers import is_room_id, is_user_id, utf8_length
from homeserver.protocol.push_rules.paths import parse_path

MAX_NAMES: Final = 1000
"""Most senders or rooms in one list: somebody may leave out many rooms."""
MAX_TYPES: Final = 200
MAX_STARS: Final = 100
"""Most wildcards in one list of types: each costs a search in every event's type."""
MAX_EVENT_FIELDS: Final = 100
MAX_NAME_BYTES: Final = 255
MAX_PROFILE_FIELDS: Final = 100
UNSTABLE_PROFILE_FIELDS: Final = "org.matrix.msc4429.profile_fields"
UNSTABLE_REL_TYPES: Final = "org.matrix.msc3874."

Check = Callable[[object], bool]


def parse_filter(value: object) -> Filter:
    """A filter as `POST /user/{userId}/filter` and `/sync` take it; unknown keys are left out.

    Raises BadJson or InvalidParam.
    """
    fields = _object(value, "The filter")
    return Filter(
        room=_parse_room_filter(fields.get("room", {})),
        presence=_parse_event_filter(fields.get("presence", {}), "presence"),
        account_data=_parse_event_filter(fields.get("account_data", {}), "account_data"),
        event_fields=_parse_event_fields(fields),
        event_format=_parse_event_format(fields),
        profile_fields=_parse_profile_fields(fields.get(UNSTABLE_PROFILE_FIELDS, {})),
    )


def _parse_profile_fields(value: object) -> frozenset[str]:
    fields = _object(value, UNSTABLE_PROFILE_FIELDS)
    return frozenset(_names(fields, "ids", MAX_PROFILE_FIELDS) or ())


def parse_room_event_filter(value: object, where: str = "The filter") -> RoomEventFilter:
    """A filter as `/messages` and `/context` take it, or a part of `room`; raises BadJson or InvalidParam."""
    fields = _object(value, where)
    contains_url = fields.get("contains_url")
    if contains_url is not None and not isinstance(contains_url, bool):
        raise BadJson("contains_url must be true or false.")
    return RoomEventFilter(
        limit=_limit(fields),
        types=_type_choice(fields),
        senders=_choice(fields, "senders", is_user_id),
        rooms=_choice(fields, "rooms", is_room_id),
        contains_url=contains_url,
        lazy_load_members=_flag(fields, "lazy_load_members"),
        include_redundant_members=_flag(fields, "include_redundant_members"),
        unread_thread_notifications=_flag(fields, "unread_thread_notifications"),
        related_by_senders=_optional_tuple(_names(fields, "related_by_senders", MAX_NAMES, is_user_id)),
        related_by_rel_types=_optional_tuple(_names(fields, "related_by_rel_types", MAX_TYPES)),
        rel_types=_rel_types(fields),
    )


def _parse_room_filter(value: object) -> RoomFilter:
    fields = _object(value, "room")
    return RoomFilter(
        rooms=_choice(fields, "rooms", is_room_id),
        include_leave=_flag(fields, "include_leave"),
        timeline=parse_room_event_filter(fields.get("timeline", {}), "room.timeline"),
        state=parse_room_event_filter(fields.get("state", {}), "room.state"),
        ephemeral=parse_room_event_filter(fields.get("ephemeral", {}), "room.ephemeral"),
        account_data=parse_room_event_filter(fields.get("account_data", {}), "room.account_data"),
    )


def _parse_event_filter(value: object, where: str) -> EventFilter:
    fields = _object(value, where)
    return EventFilter(limit=_limit(fields), types=_type_choice(fields), senders=_choice(fields, "senders", is_user_id))


def _parse_event_fields(fields: Mapping[str, Any]) -> tuple[tuple[str, ...], ...] | None:
    paths = _names(fields, "event_fields", MAX_EVENT_FIELDS)
    return None if paths is None else tuple(parse_path(path) for path in paths)


def _parse_event_format(fields: Mapping[str, Any]) -> EventFormat:
    event_format = fields.get("event_format", "client")
    if event_format not in ("client", "federation"):
        raise BadJson("event_format must be 'client' or 'federation'.")
    return event_format  # type: ignore[no-any-return]


# --- Parts --------------------------------------------------------------------------------------------------------


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadJson(f"{where} must be an object.")
    return value


def _flag(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise BadJson(f"{key} must be true or false.")
    return value


def _limit(fields: Mapping[str, Any]) -> int | None:
    """ "The maximum number of events to return, must be an integer greater than 0."

    Zero is taken all the same: clients ask that way for state without events, and other servers understand them.
    """
    limit = fields.get("limit")
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise BadJson("limit must be an integer.")
    if limit < 0:
        raise InvalidParam("limit must not be negative.")
    return limit


def _choice(fields: Mapping[str, Any], key: str, check: Check) -> Choice:
    only, excluded = _names(fields, key, MAX_NAMES, check), _names(fields, f"not_{key}", MAX_NAMES, check)
    return Choice(None if only is None else frozenset(only), frozenset(excluded) if excluded else EMPTY)


def _rel_types(fields: Mapping[str, Any]) -> Choice:
    """MSC3874, by the names that it will have and those that it has."""
    names = {
        key: _names(fields, key, MAX_TYPES) if key in fields else _names(fields, UNSTABLE_REL_TYPES + key, MAX_TYPES)
        for key in ("rel_types", "not_rel_types")
    }
    only, excluded = names["rel_types"], names["not_rel_types"]
    return Choice(None if only is None else frozenset(only), frozenset(excluded) if excluded else EMPTY)


def _type_choice(fields: Mapping[str, Any]) -> TypeChoice:
    only, excluded = _type_patterns(fields, "types"), _type_patterns(fields, "not_types")
    return TypeChoice(only, excluded or TypePatterns())


def _type_patterns(fields: Mapping[str, Any], key: str) -> TypePatterns | None:
    patterns = _names(fields, key, MAX_TYPES)
    if patterns is not None and sum(pattern.count("*") for pattern in patterns) > MAX_STARS:
        raise InvalidParam(f"{key} may have {MAX_STARS} wildcards at most.")
    return None if patterns is None else TypePatterns.of(patterns)


def _names(fields: Mapping[str, Any], key: str, most: int, check: Check | None = None) -> list[str] | None:
    """A list of texts, each short and as `check` wants it; None where it is absent."""
    names = fields.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadJson(f"{key} must be a list of strings.")
    if len(names) > most:
        raise InvalidParam(f"{key} may have {most} entries at most.")
    for name in names:
        if utf8_length(name) > MAX_NAME_BYTES or not (check is None or check(name)):
            raise InvalidParam(f"{key} has an entry that is too long or not an identifier.")
    return names


def _optional_tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
