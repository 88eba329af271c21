"""PUT invite: a user of ours is invited into a room of another server.

Source: server-server API, "Inviting to a room".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.doors.invite_state import read_invite_state
from homeserver.federation.doors.member_pdus import Handed, check_format, check_handed, verified
from homeserver.federation.doors.residence import ResidentRooms
from homeserver.federation.pdu_checks import PduChecks
from homeserver.federation.room_acl import RoomAcl
from homeserver.protocol.errors import Forbidden, IncompatibleRoomVersion, InvalidParam, InviteBlocked
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import SigningKey, sign_event
from homeserver.services.membership.invitable import InviteBlocks
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.rooms.blocked_rooms import BlockedRooms
from homeserver.services.rooms.outside import OutsideMemberships
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FROM_SERVER: Final = "invite_received"
FROM_ALL: Final = "invites_received"


@dataclass(frozen=True, slots=True)
class InvitedUsers:
    """Whom another server can invite here, and who wants that."""

    server_name: str
    queries: Queries
    users: Users
    blocks: InviteBlocks
    limits: AnyRateLimiter

    async def check(self, origin: str, user_id: object, inviter: object) -> None:
        """Raises InvalidParam, Forbidden, InviteBlocked, LimitExceeded. Two statements."""
        if not isinstance(user_id, str) or not is_user_id(user_id) or user_id.partition(":")[2] != self.server_name:
            raise InvalidParam("The invited user is not of this server")
        self.limits.count(FROM_SERVER, f"{origin} {user_id}")
        self.limits.count(FROM_ALL, user_id)
        user = await self.users.get(self.queries, user_id)
        if user is None or user.is_deactivated:
            raise Forbidden("There is nobody of that name here")
        if isinstance(inviter, str) and await self.refuses(user_id, inviter):
            raise InviteBlocked(f"{user_id} does not accept this invitation")

    async def refuses(self, user_id: str, inviter: str) -> bool:
        """Whether he wants no invitations of this user; one statement at most."""
        return bool(await self.blocks.blocking(inviter, [user_id]))


@dataclass(frozen=True, slots=True)
class ReceiveInvitation:
    """One verb."""

    server_name: str
    signing_key: SigningKey
    rooms: ResidentRooms
    acl: RoomAcl
    invited: InvitedUsers
    checks: PduChecks
    outside: OutsideMemberships
    blocked: BlockedRooms

    async def __call__(
        self, origin: str, room_id: str, event_id: str, version_name: str, pdu: dict[str, Any], shown: Sequence[Any]
    ) -> dict[str, Any]:
        """The invitation with our signature. `shown`: the `invite_room_state`.

        Raises IncompatibleRoomVersion, InvalidParam, InvalidEvent, TooLarge, Forbidden, InviteBlocked, LimitExceeded.
        """
        version = ROOM_VERSIONS.get(version_name)
        if version is None:
            raise IncompatibleRoomVersion("This server does not know the room version", room_version=version_name[:64])
        handed = Handed(origin, room_id, event_id, "invite", pdu)
        check_handed(handed)
        check_format(handed, version)
        self.blocked.check(room_id)
        await self.invited.check(origin, pdu.get("state_key"), pdu.get("sender"))
        await verified(self.checks, handed, version)
        signed = sign_event(pdu, version, self.server_name, self.signing_key)
        await self._keep(Event.from_pdu(signed, version, event_id), origin, shown)
        # "All other fields of the events should remain untouched."
        return signed

    async def _keep(self, invite: Event, origin: str, shown: Sequence[Any]) -> None:
        """A room of ours gets the event as all others do: the inviting server sends it, once it has our signature."""
        room = await self.rooms.find(invite.room_id)
        if room is not None:
            if room.version is not invite.room_version:
                raise InvalidParam("The room has another version")
            await self.acl.check(invite.room_id, origin)
            return
        stripped = await read_invite_state(self.checks, shown, invite)
        await self.outside.record(invite, [orjson.dumps(each) for each in stripped])
