"""Whom one may invite at all, whatever the room says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from homeserver.protocol.errors import Forbidden, InviteBlocked
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.requester import Requester

MakeUsers = Callable[[Sequence[str]], Awaitable[None]]


class InviteBlocks(Protocol):
    """Whose invitations local users do not want: services/account_data/invite_filters.py."""

    async def blocking(self, inviter: str, user_ids: Sequence[str]) -> set[str]:
        """Those of the users who refuse invitations of this one."""
        ...


@dataclass(frozen=True, slots=True)
class Invitable:
    """One check, for POST /invite and for createRoom."""

    server_name: str
    federates: bool
    blocks: InviteBlocks
    makers: list[MakeUsers] = field(default_factory=list)
    """Asked for users of this server who may not exist: application services."""

    async def check(self, requester: Requester, user_ids: Sequence[str]) -> None:
        """Raises InvalidParam (no user id), Forbidden (a user of another server, without federation), InviteBlocked.

        Whether users of other servers block invitations, their servers know.
        """
        elsewhere = [user_id for user_id in user_ids if self.is_elsewhere(user_id)]
        if elsewhere and not self.federates:
            raise Forbidden(f"This server does not federate: {elsewhere[0]} cannot be invited")
        others = [user_id for user_id in user_ids if user_id != requester.user_id and user_id not in elsewhere]
        for make in self.makers:
            await make(others)
        blocking = await self.blocks.blocking(requester.user_id, others) if others else None
        if blocking:
            raise InviteBlocked(f"{', '.join(sorted(blocking))} does not accept this invitation")

    def is_elsewhere(self, user_id: str) -> bool:
        """Whether it is a user of another server. Raises InvalidParam."""
        return parse_user_id(user_id).server_name != self.server_name
