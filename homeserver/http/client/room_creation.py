"""Client-server API, "Creation": POST /createRoom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.directory.names import new_alias
from homeserver.services.identity_servers.invite import (
    MAX_INVITED_TO_NEW_ROOM,
    InviteAddressesToNewRoom,
    Invitee,
    check_invitee,
)
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.rooms.creation.create_room import CreateRoom
from homeserver.services.rooms.creation.wishes import InitialState, RoomWishes, with_encryption


class InitialStateBody(msgspec.Struct):
    type: str
    content: dict[str, Any]
    state_key: str = ""


class Invite3pidBody(msgspec.Struct):
    id_server: str
    id_access_token: str
    medium: str
    address: str


class CreateRoomBody(msgspec.Struct):
    preset: Literal["private_chat", "public_chat", "trusted_private_chat"] | None = None
    visibility: Literal["public", "private"] | None = None
    room_version: str | None = None
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    creation_content: dict[str, Any] | None = None
    power_level_content_override: dict[str, Any] | None = None
    initial_state: list[InitialStateBody] | None = None
    invite: list[str] | None = None
    invite_3pid: list[Invite3pidBody] | None = None
    is_direct: bool | None = None


@dataclass(frozen=True, slots=True)
class RoomCreationEndpoints:
    """Rooms are made here."""

    create: CreateRoom
    server_name: str
    limiter: AnyRateLimiter
    invite_new: InviteAddressesToNewRoom
    encrypted_presets: Collection[str] = ()

    @endpoint("POST", "/_matrix/client/v3/createRoom", suspended=False, body=CreateRoomBody, limit="room_create")
    async def create_room(self, request: Request[CreateRoomBody]) -> Response:
        invitees = _invitees(request.body.invite_3pid or ())
        for _ in request.body.invite or ():
            self.limiter.check("room_create_invite", request.requester, request.remote_address)
        for _ in invitees:
            self.limiter.check("identity_server", request.requester, request.remote_address)
        room_id = await self.create(request.requester, self._wishes(request.body))
        await self.invite_new(request.requester, room_id, invitees, is_direct=bool(request.body.is_direct))
        return {"room_id": room_id}

    def _wishes(self, body: CreateRoomBody) -> RoomWishes:
        is_public = body.visibility == "public"
        alias_name = body.room_alias_name
        # "If unspecified, the server should use the visibility to determine which preset to use."
        preset = body.preset or ("public_chat" if is_public else "private_chat")
        initial_state = [InitialState(each.type, each.content, each.state_key) for each in body.initial_state or ()]
        if preset in self.encrypted_presets:
            initial_state = with_encryption(initial_state)
        return RoomWishes(
            preset=preset,
            room_version=body.room_version,
            is_public=is_public,
            name=body.name,
            topic=body.topic,
            alias=None if alias_name is None else new_alias(alias_name, self.server_name),
            creation_content=body.creation_content or {},
            power_level_override=body.power_level_content_override or {},
            initial_state=initial_state,
            invite=body.invite or (),
            is_direct=bool(body.is_direct),
        )


def _invitees(bodies: Sequence[Invite3pidBody]) -> list[Invitee]:
    """Raises InvalidParam."""
    if len(bodies) > MAX_INVITED_TO_NEW_ROOM:
        raise InvalidParam(f"At most {MAX_INVITED_TO_NEW_ROOM} people can be invited by address into a new room")
    return [check_invitee(each.id_server, each.id_access_token, each.medium, each.address) for each in bodies]
