"""Whoever enters the successor of a room finds his own settings there: tags, direct chat, notifications; and its names.

"When a user joins the new room, the server should automatically transfer/replicate some of the user's personalized
settings such as notifications, tags, etc." (Room upgrades)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol.errors import MatrixError
from homeserver.services.account_data.account_data import MAX_ENTRIES
from homeserver.services.account_data.stream import AccountDataStream
from homeserver.services.awake import AwakeUsers
from homeserver.services.push_rules.push_rules import PushRules, RuleBody
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.upgrade.carry_names import CarryNames
from homeserver.storage.account_data import EVERYWHERE, AccountDataRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

TAG = "m.tag"
DIRECT = "m.direct"
# Rules about one room: its notification setting, and whatever else a client wrote. Each is a write of its own.
MAX_RULES = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CarrySettings:
    """One verb. Nothing here is worth failing a join for."""

    queries: Queries
    cache: RoomCache
    awake: AwakeUsers
    rows: AccountDataRows
    stream: AccountDataStream
    push_rules: PushRules
    names: CarryNames

    async def __call__(self, user_id: str, room: LiveRoom) -> None:
        """Copy the settings of the room's predecessor, if the user was in it; no statement for rooms that have none."""
        old_id = _predecessor_of(room)
        if old_id is None:
            return
        try:
            if await self._is_succession(user_id, old_id, room.room_id):
                await self.names(await self.cache.get(old_id), room.room_id)
                await self._carry_tags(user_id, old_id, room.room_id)
                await self._carry_direct(user_id, old_id, room.room_id)
                await self._carry_push_rules(user_id, old_id, room.room_id)
        except MatrixError as error:
            log.info("settings of %s not carried into %s: %s", user_id, room.room_id, error)

    async def _is_succession(self, user_id: str, old_id: str, new_id: str) -> bool:
        """Both rooms must say so: anybody can claim to follow a room."""
        if old_id not in (await self.awake.get(user_id)).rooms:
            return False
        tombstone = (await self.cache.get(old_id)).state.get("m.room.tombstone")
        return tombstone is not None and tombstone.content.get("replacement_room") == new_id

    async def _carry_tags(self, user_id: str, old_id: str, new_id: str) -> None:
        stored = await self.rows.get(self.queries, user_id, old_id, TAG)
        if stored is not None:
            # Position 0: only where the new room has no tags yet.
            await self._replace(user_id, new_id, TAG, stored[0], 0)

    async def _carry_direct(self, user_id: str, old_id: str, new_id: str) -> None:
        stored = await self.rows.get(self.queries, user_id, EVERYWHERE, DIRECT)
        if stored is None:
            return
        content = orjson.loads(stored[0])
        changed = {person: _with_successor(rooms, old_id, new_id) for person, rooms in content.items()}
        if changed != content:
            await self._replace(user_id, EVERYWHERE, DIRECT, orjson.dumps(changed), stored[1])

    async def _replace(self, user_id: str, room_id: str, event_type: str, content: bytes, before: int) -> None:
        async with self.stream.writing() as write:
            if await self.rows.replace(
                self.queries, user_id, room_id, event_type, content, write.position, before, MAX_ENTRIES
            ):
                write.done(user_id, room_id, event_type, content)

    async def _carry_push_rules(self, user_id: str, old_id: str, new_id: str) -> None:
        ruleset = await self.push_rules.ruleset(user_id)
        own = [(kind, rule) for kind in ("override", "room", "underride") for rule in ruleset[kind]]
        about_old = [(kind, rule) for kind, rule in own if not rule["default"] and old_id in _rooms_of(rule)]
        for kind, rule in about_old[:MAX_RULES]:
            conditions = [_about_successor(each, old_id, new_id) for each in rule.get("conditions", ())]
            body = RuleBody(rule["actions"], conditions if kind != "room" else None)
            rule_id = rule["rule_id"].replace(old_id, new_id)
            if rule_id != rule["rule_id"]:
                await self.push_rules.put(user_id, kind, rule_id, body, before=None, after=None)


def _predecessor_of(room: LiveRoom) -> str | None:
    create = room.state.get("m.room.create")
    predecessor = None if create is None else create.content.get("predecessor")
    room_id = predecessor.get("room_id") if isinstance(predecessor, dict) else None
    return room_id if isinstance(room_id, str) and room_id != room.room_id else None


def _with_successor(rooms: Any, old_id: str, new_id: str) -> Any:
    if isinstance(rooms, list) and old_id in rooms and new_id not in rooms:
        return [*rooms, new_id]
    return rooms


def _rooms_of(rule: dict[str, Any]) -> set[Any]:
    """The rooms a rule is about: a room rule's id, or what its conditions ask of `room_id`."""
    asked = (each.get("pattern") for each in rule.get("conditions", ()) if each.get("key") == "room_id")
    return {rule["rule_id"], *asked}


def _about_successor(condition: dict[str, Any], old_id: str, new_id: str) -> dict[str, Any]:
    if condition.get("key") == "room_id" and condition.get("pattern") == old_id:
        return {**condition, "pattern": new_id}
    return condition
