"""Tell people by mail what happened to their account: who took it over does not read their mail."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import EMAIL
from homeserver.services.mail.letters import Letters
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountNotices:
    """Called after the commit; what cannot be sent harms nothing."""

    queries: Queries
    users: Users
    letters: Letters | None

    async def password_changed(self, user_id: str) -> None:
        """To all addresses of the account."""
        self._send("password_changed", await self._addresses(user_id), {"user_id": user_id})

    async def address_added(self, user_id: str, medium: str, address: str) -> None:
        """To the addresses that were there before."""
        others = [each for each in await self._addresses(user_id) if each != address]
        shown = address if medium == EMAIL else f"+{address}"
        self._send("address_added", others, {"user_id": user_id, "other_address": shown})

    def address_removed(self, user_id: str, medium: str, address: str) -> None:
        """To the address itself."""
        self._send("address_removed", [address] if medium == EMAIL else [], {"user_id": user_id})

    async def _addresses(self, user_id: str) -> list[str]:
        if self.letters is None:
            return []
        found = await self.users.threepids(self.queries, user_id)
        return [each.address for each in found if each.medium == EMAIL]

    def _send(self, kind: str, addresses: Iterable[str], values: Mapping[str, str]) -> None:
        if self.letters is None:
            return
        for address in addresses:
            try:
                self.letters.send(kind, address, values)
            except errors.MatrixError as error:
                log.warning("a notice (%s) could not be sent: %s", kind, error.errcode)
