"""Client-server API, "Room membership"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import MissingParam
from homeserver.services.awake import AwakeUsers
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.identity_servers.invite import InviteByAddress, Invitee, check_invitee
from homeserver.services.membership.content import clients_part
from homeserver.services.membership.depart import DepartRoom
from homeserver.services.membership.forget import ForgetRoom
from homeserver.services.membership.invite import InviteUser
from homeserver.services.membership.join import JoinRoom
from homeserver.services.membership.knock import KnockRoom
from homeserver.services.membership.proven_invites import ProvenInvites
from homeserver.services.rate_limits import AnyRateLimiter

ROOM = "/_matrix/client/v3/rooms/{room_id}"
# Of the body of a join: what the verb is told on its own, or what is meant for the server alone.
_NOT_CONTENT = frozenset({"reason", "third_party_signed"})

# A large room comes from another server with all its state, and the first servers that are asked may not answer.
JOIN_LIMIT_MS = 300_000
MAX_VIA = 20


class ReasonBody(msgspec.Struct):
    reason: str | None = None


class TargetBody(msgspec.Struct):
    user_id: str
    reason: str | None = None


class InviteBody(msgspec.Struct):
    user_id: str | None = None
    reason: str | None = None
    # The other form of this endpoint, by e-mail address.
    id_server: str | None = None
    id_access_token: str | None = None
    medium: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class MembershipEndpoints:
    """Who comes, who goes."""

    resolve: ResolveRoom
    join: JoinRoom
    knock: KnockRoom
    invite: InviteUser
    depart: DepartRoom
    forget: ForgetRoom
    awake: AwakeUsers
    invite_by_address: InviteByAddress
    proven: ProvenInvites
    limiter: AnyRateLimiter

    @endpoint("GET", "/_matrix/client/v3/joined_rooms")
    async def joined_rooms(self, request: Request[None]) -> Response:
        return {"joined_rooms": sorted(await self.awake.joined_room_ids(request.requester.user_id))}

    @endpoint(
        "POST", "/_matrix/client/v3/join/{room}", guests=True, body=dict, empty_body=True, limit="join",
        time_limit_ms=JOIN_LIMIT_MS,
    )  # fmt: skip
    async def join_by_name(self, request: Request[dict[str, Any]]) -> Response:
        found = await self.resolve.room(request.path["room"])
        return await self._join(request, found.room_id, [*_via(request), *found.servers])

    @endpoint(
        "POST", ROOM + "/join", guests=True, body=dict, empty_body=True, limit="join",
        time_limit_ms=JOIN_LIMIT_MS,
    )  # fmt: skip
    async def join_by_id(self, request: Request[dict[str, Any]]) -> Response:
        return await self._join(request, request.path["room_id"], _via(request))

    async def _join(self, request: Request[dict[str, Any]], room_id: str, via: list[str]) -> Response:
        """What a client adds to the body goes into the member event, as with other servers."""
        extra = {key: value for key, value in clients_part(request.body).items() if key not in _NOT_CONTENT}
        reason = request.body.get("reason")
        if (signed := request.body.get("third_party_signed")) is not None:
            await self.proven(request.requester, room_id, signed)
        await self.join(request.requester, room_id, reason=reason, extra=extra or None, via=via)
        return {"room_id": room_id}

    @endpoint("POST", "/_matrix/client/v3/knock/{room}", suspended=False, body=ReasonBody, limit="join")
    async def knock_on_room(self, request: Request[ReasonBody]) -> Response:
        found = await self.resolve.room(request.path["room"])
        via = [*_via(request), *found.servers]
        await self.knock(request.requester, found.room_id, reason=request.body.reason, via=via)
        return {"room_id": found.room_id}

    @endpoint("POST", ROOM + "/invite", suspended=False, body=InviteBody, limit="invite")
    async def invite_user(self, request: Request[InviteBody]) -> Response:
        body = request.body
        if body.user_id is None:
            return await self._invite_by_address(request)
        await self.invite(request.requester, request.path["room_id"], body.user_id, reason=body.reason)
        return {}

    async def _invite_by_address(self, request: Request[InviteBody]) -> Response:
        body = request.body
        if body.medium is None and body.address is None:
            raise MissingParam("Missing 'user_id'")
        invitee = read_invitee(body.id_server, body.id_access_token, body.medium, body.address)
        self.limiter.check("identity_server", request.requester, request.remote_address)
        await self.invite_by_address(request.requester, request.path["room_id"], invitee)
        return {}

    @endpoint("POST", ROOM + "/leave", guests=True, body=ReasonBody, limit="membership")
    async def leave_room(self, request: Request[ReasonBody]) -> Response:
        await self.depart.leave(request.requester, request.path["room_id"], reason=request.body.reason)
        return {}

    @endpoint("POST", ROOM + "/kick", suspended=False, body=TargetBody, limit="membership")
    async def kick_user(self, request: Request[TargetBody]) -> Response:
        body = request.body
        await self.depart.kick(request.requester, request.path["room_id"], body.user_id, reason=body.reason)
        return {}

    @endpoint("POST", ROOM + "/ban", suspended=False, body=TargetBody, limit="membership")
    async def ban_user(self, request: Request[TargetBody]) -> Response:
        body = request.body
        await self.depart.ban(request.requester, request.path["room_id"], body.user_id, reason=body.reason)
        return {}

    @endpoint("POST", ROOM + "/unban", suspended=False, body=TargetBody, limit="membership")
    async def unban_user(self, request: Request[TargetBody]) -> Response:
        body = request.body
        await self.depart.unban(request.requester, request.path["room_id"], body.user_id, reason=body.reason)
        return {}

    @endpoint("POST", ROOM + "/forget", limit="membership")
    async def forget_room(self, request: Request[None]) -> Response:
        await self.forget(request.requester, request.path["room_id"])
        return {}


def read_invitee(
    id_server: str | None, id_access_token: str | None, medium: str | None, address: str | None
) -> Invitee:
    """Whom to invite by address. Raises MissingParam, InvalidParam."""
    if id_server is None or id_access_token is None or medium is None or address is None:
        raise MissingParam("An invitation by address needs 'id_server', 'id_access_token', 'medium' and 'address'")
    return check_invitee(id_server, id_access_token, medium, address)


def _via(request: Request[Any]) -> list[str]:
    """Servers that may know the room. `server_name` is what older clients say (before v1.12; many say both)."""
    query = request.query
    return list(dict.fromkeys([*query.strings("via"), *query.strings("server_name")]))[:MAX_VIA]
