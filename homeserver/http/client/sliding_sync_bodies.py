"""What both shapes of sliding sync have in common: filters, extensions, limits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import msgspec

from homeserver.http.limits import MAX_INTEGER
from homeserver.protocol.errors import InvalidParam
from homeserver.services.profiles.extension import EXTENSION as PROFILES
from homeserver.services.profiles.extension import ProfilesWish
from homeserver.services.sliding_sync.request import (
    EVERYTHING,
    MAX_TIMELINE_LIMIT,
    Extensions,
    PagedExtension,
    Range,
    RoomExtension,
    RoomFilter,
)
from homeserver.services.sliding_sync.required_state import RequiredState, RoomConfig
from homeserver.services.thread_subscriptions.changes import EXTENSION as THREAD_SUBSCRIPTIONS

MAX_LISTS = 100
MAX_LIST_KEY_BYTES = 64
MAX_SUBSCRIPTIONS = 1_000
MAX_RANGES = 100
MAX_REQUIRED_STATE = 500
# In all lists and subscriptions together; those that want the same count once. All of it is looked at for each room.
MAX_PATTERNS = 1_000
MAX_DIFFERENT = 20
MAX_FILTER_VALUES = 500
MAX_ID_CHARACTERS = 255
# More are asked for by mistake; less than this is capped without a word.
MAX_ASKED_TIMELINE_LIMIT = 1_000
MAX_EXTENSION_ROOMS = 1_000
MAX_PROFILE_FIELDS = 100


class FilterBody(msgspec.Struct):
    """`SlidingRoomFilter`. The older shape calls `is_invited` `is_invite`, and alone has `room_name_like`."""

    is_dm: bool | None = None
    spaces: list[str] | None = None
    is_encrypted: bool | None = None
    is_invite: bool | None = None
    is_invited: bool | None = None
    room_types: list[str | None] | None = None
    not_room_types: list[str | None] | None = None
    tags: list[str] | None = None
    not_tags: list[str] | None = None
    room_name_like: str | None = None


class SwitchBody(msgspec.Struct):
    enabled: bool | None = False


class RoomExtensionBody(msgspec.Struct):
    enabled: bool | None = False
    lists: list[str] | None = None
    rooms: list[str] | None = None


class PagedExtensionBody(msgspec.Struct):
    enabled: bool | None = False
    limit: int | None = 100
    since: str | None = None


class ProfilesBody(RoomExtensionBody):
    fields: list[str] | None = None


class ExtensionsBody(msgspec.Struct):
    """ "If a client sends an unknown extension name, the server MUST ignore it"."""

    to_device: PagedExtensionBody | None = None
    e2ee: SwitchBody | None = None
    account_data: RoomExtensionBody | None = None
    receipts: RoomExtensionBody | None = None
    typing: RoomExtensionBody | None = None
    voice: RoomExtensionBody | None = msgspec.field(default=None, name="org.voicechat.voice")
    sticky: PagedExtensionBody | None = msgspec.field(default=None, name="org.matrix.msc4354.sticky_events")
    thread_subscriptions: PagedExtensionBody | None = msgspec.field(default=None, name=THREAD_SUBSCRIPTIONS)
    profiles: ProfilesBody | None = msgspec.field(default=None, name=PROFILES)


NO_EXTENSIONS = ExtensionsBody()


def check_count(what: str, values: Sized, most: int) -> None:
    """Raises InvalidParam for more than so many."""
    if len(values) > most:
        raise InvalidParam(f"{what}: at most {most} are taken")


def check_keys(lists: Collection[str], room_ids: Collection[str]) -> None:
    """Of lists and subscriptions. Raises InvalidParam for too many, keys that are too long, and what is no room id."""
    check_count("lists", lists, MAX_LISTS)
    if any(len(key.encode()) > MAX_LIST_KEY_BYTES for key in lists):
        raise InvalidParam(f"lists: a key has at most {MAX_LIST_KEY_BYTES} bytes")
    check_count("room_subscriptions", room_ids, MAX_SUBSCRIPTIONS)
    if any(len(room_id) > MAX_ID_CHARACTERS for room_id in room_ids):
        raise InvalidParam("room_subscriptions: a key is no room id")


def connection_id(conn_id: str | None) -> str:
    """ "Only one sliding sync connection is allowed per given `conn_id` (empty or not)". Raises InvalidParam."""
    if conn_id is not None and len(conn_id) > MAX_ID_CHARACTERS:
        raise InvalidParam(f"conn_id has at most {MAX_ID_CHARACTERS} characters")
    return conn_id or ""


@dataclass(slots=True)
class Configs:
    """The configurations of one request. Equal ones are one object; different ones together have an end."""

    _known: dict[RoomConfig, RoomConfig] = field(default_factory=dict)
    _required: set[RequiredState] = field(default_factory=set)
    _patterns: int = 0

    def config(self, timeline_limit: int, required: RequiredState) -> RoomConfig:
        """How much of a room is wanted. Raises InvalidParam."""
        if not 0 <= timeline_limit <= MAX_ASKED_TIMELINE_LIMIT:
            raise InvalidParam(f"timeline_limit is a number from 0 to {MAX_ASKED_TIMELINE_LIMIT}")
        if required not in self._required:
            self._required.add(required)
            self._patterns += len(required.include) + len(required.exclude)
        if self._patterns > MAX_PATTERNS or len(self._required) > MAX_DIFFERENT:
            raise InvalidParam(
                f"required_state: at most {MAX_DIFFERENT} different ones are taken, with {MAX_PATTERNS} entries"
            )
        made = RoomConfig(min(timeline_limit, MAX_TIMELINE_LIMIT), frozenset((required,)))
        return self._known.setdefault(made, made)


def checked_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[Range, ...]:
    """In order, and none within another. Raises InvalidParam for ranges that are none."""
    checked = list(ranges)
    check_count("ranges", checked, MAX_RANGES)
    merged: list[Range] = []
    for first, last in sorted(checked):
        if not 0 <= first <= last <= MAX_INTEGER:
            raise InvalidParam("A range is two indices from 0 on, the smaller one first")
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def room_filter(body: FilterBody | None, is_invited: bool | None, name_like: str | None = None) -> RoomFilter | None:
    """Raises InvalidParam for filters with too many values."""
    if body is None:
        return None
    for values in (body.spaces, body.room_types, body.not_room_types, body.tags, body.not_tags):
        check_count("A filter", values or (), MAX_FILTER_VALUES)
    return RoomFilter(
        is_dm=body.is_dm,
        is_encrypted=body.is_encrypted,
        is_invited=is_invited,
        spaces=None if body.spaces is None else frozenset(body.spaces),
        room_types=_set(body.room_types),
        not_room_types=_set(body.not_room_types),
        tags=None if body.tags is None else frozenset(body.tags),
        not_tags=None if body.not_tags is None else frozenset(body.not_tags),
        name_like=name_like.casefold() if name_like else None,
    )


def _set(values: list[str | None] | None) -> frozenset[str | None] | None:
    return None if values is None else frozenset(values)


def enabled_extensions(body: ExtensionsBody | None) -> Extensions:
    """Those that are enabled. Raises InvalidParam."""
    body = body or NO_EXTENSIONS
    return Extensions(
        to_device=_paged("to_device", body.to_device),
        e2ee=bool(body.e2ee and body.e2ee.enabled),
        account_data=_of_rooms(body.account_data),
        receipts=_of_rooms(body.receipts),
        typing=_of_rooms(body.typing),
        voice=_of_rooms(body.voice),
        sticky=_paged("sticky_events", body.sticky),
        others=_others(body),
    )


def _others(body: ExtensionsBody) -> dict[str, Any]:
    """Extensions of other services, by name."""
    others: dict[str, Any] = {
        THREAD_SUBSCRIPTIONS: _paged("thread_subscriptions", body.thread_subscriptions),
        PROFILES: _profiles(body.profiles),
    }
    return {name: config for name, config in others.items() if config is not None}


def _profiles(body: ProfilesBody | None) -> ProfilesWish | None:
    rooms = _of_rooms(body)
    if body is None or rooms is None:
        return None
    check_count("fields of an extension", body.fields or (), MAX_PROFILE_FIELDS)
    return ProfilesWish(rooms, None if body.fields is None else frozenset(body.fields))


def _of_rooms(body: RoomExtensionBody | None) -> RoomExtension | None:
    if body is None or not body.enabled:
        return None
    check_count("lists of an extension", body.lists or (), MAX_LISTS)
    check_count("rooms of an extension", body.rooms or (), MAX_EXTENSION_ROOMS)
    if any(len(name) > MAX_ID_CHARACTERS for name in (*(body.lists or ()), *(body.rooms or ()))):
        raise InvalidParam("An extension names no list and no room by so long a name")
    return RoomExtension(
        EVERYTHING if body.lists is None else tuple(body.lists),
        EVERYTHING if body.rooms is None else tuple(body.rooms),
    )


def _paged(name: str, body: PagedExtensionBody | None) -> PagedExtension | None:
    if body is None or not body.enabled:
        return None
    since = None
    if body.since:
        if not (body.since.isascii() and body.since.isdigit() and len(body.since) <= 18):
            raise InvalidParam(f"extensions.{name}.since is no token of this server")
        since = int(body.since)
    limit = 100 if body.limit is None else body.limit
    if limit < 0:
        raise InvalidParam(f"extensions.{name}.limit is a number from 0 on")
    return PagedExtension(since, limit)


def encoded_lists(counts: Mapping[str, int]) -> dict[str, Any]:
    """`lists` of an answer."""
    return {name: {"count": count} for name, count in counts.items()}
