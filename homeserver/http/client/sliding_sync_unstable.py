"""Sliding sync as today's clients speak it: `org.matrix.simplified_msc3575` (MSC4186, "Unstable prefix").

It differs from the accepted shape in the points of MSC4186's "Changelog".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from homeserver.http.client.sliding_sync_bodies import (
    MAX_REQUIRED_STATE,
    Configs,
    ExtensionsBody,
    FilterBody,
    check_count,
    check_keys,
    checked_ranges,
    encoded_lists,
    room_filter,
)
from homeserver.services.sliding_sync.engine import SlidingAnswer
from homeserver.services.sliding_sync.request import ListConfig, Rules
from homeserver.services.sliding_sync.required_state import MEMBER, RequiredState, RoomConfig
from homeserver.services.sliding_sync.results import RoomResult

ANY, ME, LAZY = "*", "$ME", "$LAZY"

# Other names in this shape; what is missing here is not part of it.
NAMES: Mapping[str, str] = {
    "bump_stamp": "bump_stamp",
    "name": "name",
    "avatar": "avatar",
    "heroes": "heroes",
    "is_dm": "is_dm",
    "initial": "initial",
    "expanded_timeline": "unstable_expanded_timeline",
    "required_state": "required_state",
    "timeline_events": "timeline",
    "prev_batch": "prev_batch",
    "limited": "limited",
    "num_live": "num_live",
    "joined_count": "joined_count",
    "invited_count": "invited_count",
    "notification_count": "notification_count",
    "highlight_count": "highlight_count",
    "stripped_state": "invite_state",
}


class SubscriptionBody(msgspec.Struct):
    timeline_limit: int
    required_state: list[tuple[str, str]]


class ListBody(msgspec.Struct):
    timeline_limit: int
    required_state: list[tuple[str, str]]
    ranges: list[tuple[int, int]] | None = None
    slow_get_all_rooms: bool | None = None
    filters: FilterBody | None = None


class UnstableBody(msgspec.Struct):
    conn_id: str | None = None
    lists: dict[str, ListBody] | None = None
    room_subscriptions: dict[str, SubscriptionBody] | None = None
    extensions: ExtensionsBody | None = None


def rules_of(body: UnstableBody, user_id: str) -> Rules:
    """Lists and subscriptions. Raises InvalidParam."""
    lists, subscriptions = body.lists or {}, body.room_subscriptions or {}
    check_keys(lists, subscriptions)
    configs = Configs()
    return Rules(
        {name: _list(configs, each, user_id) for name, each in lists.items()},
        {room_id: _config(configs, each, user_id) for room_id, each in subscriptions.items()},
    )


def _list(configs: Configs, body: ListBody, user_id: str) -> ListConfig:
    ranges = None
    if body.ranges is not None and not body.slow_get_all_rooms:
        ranges = checked_ranges(body.ranges)
    wanted = body.filters
    chosen = room_filter(wanted, wanted.is_invite, wanted.room_name_like) if wanted is not None else None
    return ListConfig(_config(configs, body, user_id), ranges, chosen)


def _config(configs: Configs, body: ListBody | SubscriptionBody, user_id: str) -> RoomConfig:
    check_count("required_state", body.required_state, MAX_REQUIRED_STATE)
    return configs.config(body.timeline_limit, _required(body.required_state, user_id))


def _required(pairs: Iterable[tuple[str, str]], user_id: str) -> RequiredState:
    include, lazy = set[tuple[str | None, str | None]](), False
    for event_type, state_key in pairs:
        if event_type == MEMBER and state_key == LAZY:
            lazy = True
            continue
        key = user_id if state_key == ME else state_key
        include.add((None if event_type == ANY else event_type, None if key == ANY else key))
    return RequiredState(frozenset(include), lazy_members=lazy)


def encode(answer: SlidingAnswer) -> dict[str, Any]:
    """The body of an answer."""
    return {
        "pos": answer.pos,
        "lists": encoded_lists(answer.lists),
        "rooms": {room_id: _room(result) for room_id, result in answer.rooms.items()},
        "extensions": answer.extensions,
    }


def _room(result: RoomResult) -> dict[str, Any]:
    room = {NAMES[key]: value for key, value in result.items() if key in NAMES}
    for key in ("name", "avatar"):
        # That it went is told by the event, or by telling the room anew: this shape has no null.
        if room.get(key, "") is None:
            del room[key]
    return room
