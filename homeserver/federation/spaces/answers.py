"""An answer to `GET /hierarchy`, read: whatever has another type than the specification says is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from homeserver.federation.errors import BadAnswer
from homeserver.protocol.identifiers import is_room_alias, is_room_id
from homeserver.services.directory.facts import RoomFacts
from homeserver.services.spaces.children import MAX_CHILDREN, child_of, in_order
from homeserver.services.spaces.remote import RemoteSpace
from homeserver.services.spaces.space_room import MAX_ALLOWED, SpaceRoom

MAX_TEXT: Final = 4_000
MAX_MEMBERS: Final = 2**31


def read_space(answer: object, room_id: str) -> RemoteSpace:
    """Raises BadAnswer where it does not tell of that room."""
    answer = answer if isinstance(answer, dict) else {}
    room = _room(answer.get("room"))
    if room is None or room.facts.room_id != room_id:
        raise BadAnswer("The other server's answer is not about the room")
    named = {child.room_id for child in room.children}
    told = [_room(each) for each in _list(answer.get("children"))]
    children = {each.facts.room_id: each for each in told if each is not None and each.facts.room_id in named}
    closed = {each for each in _list(answer.get("inaccessible_children")) if isinstance(each, str)} & named
    return RemoteSpace(room, children, frozenset(closed))


def _list(value: object) -> list[Any]:
    return value[:MAX_CHILDREN] if isinstance(value, list) else []


def _room(each: object) -> SpaceRoom | None:
    if not isinstance(each, dict) or not is_room_id(each.get("room_id")):
        return None
    facts = _facts(each)
    state = _list(each.get("children_state")) if facts.room_type == "m.space" else []
    children = [child for event in state if isinstance(event, dict) and (child := child_of(event)) is not None]
    allowed = each.get("allowed_room_ids")
    return SpaceRoom(
        facts,
        # Servers from before v1.15 call them as MSC3266 did while it was unstable.
        _text(each, "room_version") or _text(each, "im.nheko.summary.version"),
        _text(each, "encryption") or _text(each, "im.nheko.summary.encryption"),
        [room_id for room_id in allowed[:MAX_ALLOWED] if is_room_id(room_id)] if isinstance(allowed, list) else [],
        in_order(children),
    )


def _facts(each: Mapping[str, Any]) -> RoomFacts:
    members, alias = each.get("num_joined_members"), _text(each, "canonical_alias")
    return RoomFacts(
        room_id=each["room_id"],
        room_nid=0,
        joined=members if type(members) is int and 0 <= members < MAX_MEMBERS else 0,
        name=_text(each, "name"),
        topic=_text(each, "topic"),
        alias=alias if is_room_alias(alias) else None,
        avatar_url=_text(each, "avatar_url"),
        # "When not present, the room is assumed to be `public`."
        join_rule=_text(each, "join_rule") or "public",
        room_type=_text(each, "room_type"),
        world_readable=each.get("world_readable") is True,
        guest_can_join=each.get("guest_can_join") is True,
    )


def _text(each: Mapping[str, Any], key: str) -> str | None:
    value = each.get(key)
    return value[:MAX_TEXT] if isinstance(value, str) and value else None
