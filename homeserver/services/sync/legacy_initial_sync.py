"""GET /initialSync: the first answer of before /sync, made from it. "Deprecated in r0"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol.filters import RoomEventFilter, RoomFilter, parse_filter
from homeserver.services.presence.old_form import in_old_form
from homeserver.services.requester import Requester
from homeserver.services.sync.engine import Sync
from homeserver.services.sync.reader import note_presence
from homeserver.services.sync.request import SyncRequest
from homeserver.storage.room_directory import RoomDirectoryRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

STATE = "state_after"
# Push rules were not account data yet: clients of then ask for them by themselves.
NO_PUSH_RULES = parse_filter({"account_data": {"not_types": ["m.push_rules"]}})


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """One verb."""

    queries: Queries
    directory: RoomDirectoryRows
    sync: Sync

    async def __call__(self, requester: Requester, limit: int, *, archived: bool) -> dict[str, Any]:
        """All rooms with their current state and newest events; with `archived` those that were left too."""
        rooms = RoomFilter(include_leave=archived, timeline=RoomEventFilter(limit=limit))
        await note_presence(self.sync.streams, requester, "online")
        # Without the device: messages to it wait for /sync.
        reader = replace(requester, device_id=None)
        wanted = replace(NO_PUSH_RULES, room=rooms)
        body = orjson.loads(await self.sync(SyncRequest(reader, wanted, state_after=(STATE,))))
        published = {room.room_id for room in await self.directory.published(self.queries)}
        end: str = body["next_batch"]
        return {
            "end": end,
            "presence": in_old_form(body["presence"]["events"]),
            "account_data": body["account_data"]["events"],
            "receipts": list(_receipts(body)),
            "rooms": [
                {**room, "visibility": "public" if room["room_id"] in published else "private"}
                for room in _rooms(body, requester.user_id, end)
            ],
        }


def _rooms(body: Mapping[str, Any], user_id: str, end: str) -> Iterator[dict[str, Any]]:
    kinds: Mapping[str, Mapping[str, Any]] = body.get("rooms", {})
    for kind in ("join", "leave"):
        for room_id, room in kinds.get(kind, {}).items():
            state = _in_room(room_id, room[STATE]["events"])
            yield {
                "room_id": room_id,
                "membership": _membership(state, user_id),
                "state": state,
                "messages": {
                    "chunk": _in_room(room_id, room["timeline"]["events"]),
                    "start": room["timeline"]["prev_batch"],
                    "end": end,
                },
                "account_data": room["account_data"]["events"],
            }
    for kind in ("invite", "knock"):
        for room_id in kinds.get(kind, {}):
            yield {"room_id": room_id, "membership": kind}


def _membership(state: list[dict[str, Any]], user_id: str) -> str:
    own = (e for e in state if e["type"] == "m.room.member" and e["state_key"] == user_id)
    membership: str = next(own)["content"]["membership"]
    return membership


def _in_room(room_id: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Clients of then look for the sender in `user_id`."""
    return [{**event, "room_id": room_id, "user_id": event["sender"]} for event in events]


def _receipts(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for room_id, room in body.get("rooms", {}).get("join", {}).items():
        for event in room["ephemeral"]["events"]:
            if event["type"] == "m.receipt":
                yield {**event, "room_id": room_id}
