"""Sliding sync as MSC4186 was accepted: everything in the body, state by pattern, stubs for what is gone."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

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
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.identifiers import is_opaque_identifier
from homeserver.services.sliding_sync.engine import SlidingAnswer
from homeserver.services.sliding_sync.request import ListConfig, Rules
from homeserver.services.sliding_sync.required_state import RequiredState, RoomConfig
from homeserver.services.sliding_sync.results import RoomResult


class ElementBody(msgspec.Struct):
    type: str | None = None
    state_key: str | None = None


class RequiredStateBody(msgspec.Struct):
    include: list[ElementBody] | None = None
    exclude: list[ElementBody] | None = None
    lazy_members: bool | None = False


class AcceptedSubscriptionBody(msgspec.Struct):
    timeline_limit: int
    required_state: RequiredStateBody


class AcceptedListBody(msgspec.Struct):
    timeline_limit: int
    required_state: RequiredStateBody
    range: tuple[int, int] | None = None
    filters: FilterBody | None = None


class AcceptedBody(msgspec.Struct):
    conn_id: str | None = None
    pos: str | None = None
    timeout: int | None = None
    set_presence: str | None = None
    lists: dict[str, AcceptedListBody] | None = None
    room_subscriptions: dict[str, AcceptedSubscriptionBody] | None = None
    extensions: ExtensionsBody | None = None


def rules_of(body: AcceptedBody) -> Rules:
    """Lists and subscriptions. Raises InvalidParam."""
    lists, subscriptions = body.lists or {}, body.room_subscriptions or {}
    check_keys(lists, subscriptions)
    if not all(map(is_opaque_identifier, lists)):
        raise InvalidParam("lists: a key consists of letters, digits and -._~")
    configs = Configs()
    return Rules(
        {name: _list(configs, each) for name, each in lists.items()},
        {room_id: _config(configs, each) for room_id, each in subscriptions.items()},
    )


def _list(configs: Configs, body: AcceptedListBody) -> ListConfig:
    ranges = None if body.range is None else checked_ranges([body.range])
    chosen = room_filter(body.filters, body.filters.is_invited) if body.filters is not None else None
    return ListConfig(_config(configs, body), ranges, chosen)


def _config(configs: Configs, body: AcceptedListBody | AcceptedSubscriptionBody) -> RoomConfig:
    required = body.required_state
    include, exclude = required.include or [], required.exclude or []
    check_count("required_state", [*include, *exclude], MAX_REQUIRED_STATE)
    return configs.config(
        body.timeline_limit,
        RequiredState(
            frozenset((each.type, each.state_key) for each in include),
            frozenset((each.type, each.state_key) for each in exclude),
            bool(required.lazy_members),
        ),
    )


def encode(answer: SlidingAnswer) -> dict[str, Any]:
    """The body of an answer."""
    body: dict[str, Any] = {"pos": answer.pos}
    if answer.lists:
        body["lists"] = encoded_lists(answer.lists)
    if answer.rooms:
        body["rooms"] = {room_id: _room(result) for room_id, result in answer.rooms.items()}
    if answer.extensions:
        body["extensions"] = answer.extensions
    return body


def _room(result: RoomResult) -> dict[str, Any]:
    room: dict[str, Any] = dict(result)
    deleted = room.pop("deleted_state", ())
    if deleted:
        # "To handle state being deleted, the list may include a `StateStub`"
        stubs = [orjson.Fragment(orjson.dumps({"type": kind, "state_key": key})) for kind, key in deleted]
        room["required_state"] = [*room.get("required_state", ()), *stubs]
    return room
