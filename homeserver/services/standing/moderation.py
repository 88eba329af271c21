"""What administrators ask and decide about the standing of accounts (`/admin/lock`, `/admin/suspend`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_user_id, server_name_of
from homeserver.services.requester import Requester
from homeserver.services.standing.standings import Standings
from homeserver.storage.users import User, Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class AccountModeration:
    """Each verb is for administrators, which is checked before anything is looked up, and about people of this server.

    All raise Forbidden (who asks is none, or it is about one), InvalidParam (of another server), NotFound.
    """

    queries: Queries
    users: Users
    standings: Standings
    server_name: str

    async def is_locked(self, requester: Requester, user_id: str) -> bool:
        """Whether the account is locked."""
        await self._target(requester, user_id)
        return self.standings.is_locked(user_id)

    async def is_suspended(self, requester: Requester, user_id: str) -> bool:
        """Whether the account is suspended."""
        await self._target(requester, user_id)
        return self.standings.is_suspended(user_id)

    async def set_locked(self, requester: Requester, user_id: str, locked: bool) -> None:
        """Lock or unlock; nobody locks himself out."""
        # Who became an administrator since must not stay locked for ever.
        lifts = not locked and self.standings.is_locked(user_id)
        await self._target(requester, user_id, also_administrators=lifts)
        await self.standings.set_locked(requester, user_id, locked)

    async def set_suspended(self, requester: Requester, user_id: str, suspended: bool) -> None:
        """Suspend, or end that; nobody suspends himself."""
        lifts = not suspended and self.standings.is_suspended(user_id)
        await self._target(requester, user_id, also_administrators=lifts)
        await self.standings.set_suspended(requester, user_id, suspended)

    async def _target(self, requester: Requester, user_id: str, *, also_administrators: bool = False) -> User:
        if not requester.is_admin:
            raise errors.Forbidden("Only an administrator of this server may do this")
        if not is_user_id(user_id) or server_name_of(user_id) != self.server_name:
            raise errors.InvalidParam("This is no user of this server")
        user = await self.users.get(self.queries, user_id)
        if user is None or user.is_deactivated:
            raise errors.NotFound("There is no such user")
        if user.is_admin and not also_administrators:
            raise errors.Forbidden("Administrators cannot be locked or suspended")
        return user
