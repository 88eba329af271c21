"""Published rooms of other servers: `POST /publicRooms`, asked for a user who looks there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.client import Limits, request_uri
from homeserver.federation.errors import BadAnswer
from homeserver.protocol.canonical_json import MAX_INTEGER
from homeserver.protocol.identifiers import is_room_id

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.directory.search import DirectoryQuery

PUBLIC_ROOMS: Final = "/_matrix/federation/v1/publicRooms"
LIMITS: Final = Limits(timeout_ms=20_000, max_bytes=4 * 1024 * 1024)
TEXTS: Final = ("name", "topic", "canonical_alias", "avatar_url", "room_type", "join_rule")


@dataclass(frozen=True, slots=True)
class AskForPublicRooms:
    """`services.directory.remote_rooms.RemotePublicRooms`."""

    client: FederationClient

    async def search(self, server_name: str, query: DirectoryQuery) -> dict[str, Any]:
        """The page as that server gives it, without what is not as specified. Raises as `FederationClient.call`."""
        wanted: dict[str, Any] = {}
        if query.term is not None:
            wanted["generic_search_term"] = query.term
        if query.room_types is not None:
            wanted["room_types"] = list(query.room_types)
        body: dict[str, Any] = {"limit": query.limit}
        if query.since is not None:
            body["since"] = query.since
        if wanted:
            body["filter"] = wanted
        answer = await self.client.post(server_name, request_uri(PUBLIC_ROOMS), body, limits=LIMITS)
        chunk = answer.get("chunk")
        if not isinstance(chunk, list):
            raise BadAnswer("The other server's answer has no rooms")
        page: dict[str, Any] = {"chunk": [room for each in chunk if (room := _room(each)) is not None]}
        for key in ("next_batch", "prev_batch"):
            if isinstance(answer.get(key), str):
                page[key] = answer[key]
        if _is_count(answer.get("total_room_count_estimate")):
            page["total_room_count_estimate"] = answer["total_room_count_estimate"]
        return page


def _room(each: object) -> dict[str, Any] | None:
    if not isinstance(each, dict) or not is_room_id(each.get("room_id")):
        return None
    members = each.get("num_joined_members")
    room: dict[str, Any] = {
        "room_id": each["room_id"],
        "num_joined_members": members if _is_count(members) else 0,
        "world_readable": each.get("world_readable") is True,
        "guest_can_join": each.get("guest_can_join") is True,
    }
    room.update({key: each[key] for key in TEXTS if isinstance(each.get(key), str)})
    return room


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INTEGER
