"""Restricted rooms: this server says of a user of another one that he meets the conditions.

Server-server API, "Restricted rooms".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.auth.permissions import may_invite
from homeserver.protocol.errors import UnableToAuthoriseJoin, UnableToGrantJoin
from homeserver.services.membership.content import membership_of
from homeserver.services.membership.restricted import (
    allowed_room_ids,
    authorising_user,
    is_restricted,
    refuse_restricted,
)
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.storage.restricted_joins import RestrictedJoinRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class Vouching:
    """Asked twice: when the template is made, and when the signed join comes back."""

    queries: Queries
    rows: RestrictedJoinRows

    async def voucher_for(self, room: LiveRoom, user_id: str) -> str | None:
        """Who authorises the join; None where nobody has to. Raises what `check` raises, and UnableToGrantJoin."""
        if not needs_voucher(room, user_id):
            return None
        await self.check(room, user_id)
        return authorising_user(room)

    async def check(self, room: LiveRoom, user_id: str) -> None:
        """Raises Forbidden where the user meets no condition, UnableToAuthoriseJoin where another server may know better.

        "If the joining server fails all conditions then a 403": those of rooms that we do not see are not failed.
        """
        wanted = allowed_room_ids(room)
        if not wanted:
            refuse_restricted()
        seen = await self.rows.seen(self.queries, user_id, wanted)
        if any(seen.values()):
            return
        if len(seen) < len(set(wanted)):
            raise UnableToAuthoriseJoin("This server is not in all of the rooms that open this one")
        refuse_restricted()

    async def check_signed(self, room: LiveRoom, user_id: str, authoriser: str) -> None:
        """Whether we may sign a join that names a user of ours. Raises as `voucher_for`."""
        await self.check(room, user_id)
        if authoriser not in room.joined_local or not may_invite(room.power_levels(), authoriser):
            raise UnableToGrantJoin(f"{authoriser} cannot let anybody in any more")


def needs_voucher(room: LiveRoom, user_id: str) -> bool:
    """Whether the join rules ask for one; members, invited and banned users have their answer already."""
    return is_restricted(room) and membership_of(room, user_id) not in ("join", "invite", "ban")
