"""Rooms, at the addresses and in the form that Synapse's tools know (its documentation: "Rooms")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.admin.paging import flag, paging_of
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.room_facts import (
    AVATAR,
    CREATE,
    ENCRYPTION,
    TOMBSTONE,
    TOPIC,
    RoomFacts,
)
from homeserver.services.administration.rooms import ORDERS, RoomAdministration, RoomDetails, RoomQuery

V1 = "/_synapse/admin/v1"


@dataclass(frozen=True, slots=True)
class RoomListEndpoints:
    """All for administrators."""

    rooms: RoomAdministration

    @endpoint("GET", f"{V1}/rooms", auth=Auth.ADMIN, limit="administration")
    async def page(self, request: Request[None]) -> Response:
        query, place = request.query, paging_of(request.query)
        wanted = RoomQuery(
            query.one_of("order_by", ORDERS, "name"),
            place.descending,
            place.limit,
            place.offset,
            query.string("search_term") or None,
            flag(query, "public_rooms"),
            flag(query, "empty_rooms"),
        )
        rooms, total = await self.rooms.page(wanted)
        answer: dict[str, Any] = {
            "rooms": [_listed(room) for room in rooms],
            "offset": place.offset,
            "total_rooms": total,
        }
        following = place.offset + len(rooms)
        if rooms and following < total:
            answer["next_batch"] = following
        if place.offset > 0:
            answer["prev_batch"] = max(0, place.offset - place.limit)
        return answer

    @endpoint("GET", f"{V1}/rooms/{{room_id}}", auth=Auth.ADMIN)
    async def details(self, request: Request[None]) -> Response:
        return _detailed(await self.rooms.details(request.path["room_id"]))

    @endpoint("GET", f"{V1}/statistics/database/rooms", auth=Auth.ADMIN)
    async def largest(self, request: Request[None]) -> Response:
        """Guesses of the database's planner."""
        largest = await self.rooms.largest()
        return {"rooms": [{"room_id": room_id, "estimated_size": size} for room_id, size in largest]}


def _listed(facts: RoomFacts) -> dict[str, Any]:
    return {
        "room_id": facts.room.room_id,
        "name": facts.name,
        "canonical_alias": facts.canonical_alias,
        "joined_members": facts.members.joined,
        "joined_local_members": facts.members.local,
        "version": facts.room.version,
        "creator": facts.creator,
        "encryption": facts.text(ENCRYPTION, "algorithm"),
        "federatable": facts.is_federatable,
        "public": facts.is_public,
        "join_rules": facts.join_rule,
        "guest_access": facts.guest_access,
        "history_visibility": facts.history_visibility,
        "state_events": facts.state_events,
        "room_type": facts.text(CREATE, "type"),
    }


def _detailed(details: RoomDetails) -> dict[str, Any]:
    facts = details.facts
    return {
        **_listed(facts),
        "topic": facts.text(TOPIC, "topic"),
        "avatar": facts.text(AVATAR, "url"),
        "joined_local_devices": details.local_devices,
        "forgotten": details.is_forgotten,
        "tombstoned": TOMBSTONE in facts.contents,
        "replacement_room": facts.text(TOMBSTONE, "replacement_room"),
    }
