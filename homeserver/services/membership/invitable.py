"""Whom one may invite at all, whatever the room says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeserver.protocol.errors import Forbidden, InviteBlocked
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.requester import Requester


class InviteBlocks(Protocol):
    """Which local users want no invitations (account data `m.invite_permission_config`)."""

    async def blocking(self, user_ids: Sequence[str]) -> set[str]:
        """Those of the users who block invitations."""
        ...


@dataclass(frozen=True, slots=True)
class Invitable:
    """One check, for POST /invite and for createRoom."""

    server_name: str
    blocks: InviteBlocks

    async def check(self, requester: Requester, user_ids: Sequence[str]) -> None:
        """Raises InvalidParam (no user id), Forbidden (a user of another server), InviteBlocked."""
        for user_id in user_ids:
            if parse_user_id(user_id).server_name != self.server_name:
                raise Forbidden(f"This server does not federate: {user_id} cannot be invited")
        others = [user_id for user_id in user_ids if user_id != requester.user_id]
        blocking = await self.blocks.blocking(others) if others else None
        if blocking:
            raise InviteBlocked(f"{', '.join(sorted(blocking))} does not accept invitations")
