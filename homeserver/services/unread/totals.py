"""How much is unread for a user in all: the number on his phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.invite_filter import Verdict

if TYPE_CHECKING:
    from homeserver.services.account_data.ignored import IgnoredUsers
    from homeserver.services.account_data.invite_filters import InviteFilters
    from homeserver.services.awake import AwakeUser, AwakeUsers
    from homeserver.services.unread.unread import Unread

MAX_USERS_COUNTED = 50
"""In one statement, of all their rooms."""


@dataclass(frozen=True, slots=True)
class UnreadTotals:
    """Notifications of all rooms and threads, and invitations that the user sees. Who was asked about is awake then."""

    unread: Unread
    awake: AwakeUsers
    ignored: IgnoredUsers
    invites: InviteFilters

    async def of_users(self, user_ids: Sequence[str]) -> dict[str, int]:
        """By user; a constant number of statements for every MAX_USERS_COUNTED of them."""
        found: dict[str, int] = {}
        for start in range(0, len(user_ids), MAX_USERS_COUNTED):
            found |= await self._of_some(user_ids[start : start + MAX_USERS_COUNTED])
        return found

    async def _of_some(self, user_ids: Sequence[str]) -> dict[str, int]:
        users = await self.awake.get_many(user_ids)
        invited = [user_id for user_id, user in users.items() if user.with_membership("invite")]
        if invited:
            await self.invites.load(invited)
            await self.ignored.of_users(invited)
        notifications = await self.unread.notifications(users)
        return {
            user_id: notifications[user_id] + (self._invitations(user_id, users[user_id]) or 0) for user_id in users
        }

    def known(self, user_id: str) -> int | None:
        """The same for one user from memory; None where it would have to be counted."""
        user = self.awake.peek(user_id)
        if user is None:
            return None
        notifications, invitations = self.unread.known_notifications(user_id, user), self._invitations(user_id, user)
        return None if notifications is None or invitations is None else notifications + invitations

    def _invitations(self, user_id: str, user: AwakeUser) -> int | None:
        """Those that the user sees; None where memory does not know which."""
        entries = [user.rooms[room_id] for room_id in user.with_membership("invite")]
        if not entries:
            return 0
        ignored, wanted = self.ignored.known(user_id), self.invites.known(user_id)
        if ignored is None or wanted is None:
            return None
        return sum(each.sender not in ignored and wanted.verdict(each.sender) is Verdict.ALLOW for each in entries)
