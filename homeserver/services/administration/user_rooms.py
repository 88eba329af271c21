"""What administrators look up about a user: rooms, and what his clients keep on the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_user_id
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.requester import Requester
from homeserver.storage.account_data import EVERYWHERE, AccountDataRows
from homeserver.storage.administration import AdministrationRows
from homeserver.storage.memberships import Memberships

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_CHANGES: Final = 100_000


@dataclass(frozen=True, slots=True)
class UserAccountData:
    """Contents in JSON by type; those of rooms by room id."""

    everywhere: Mapping[str, orjson.Fragment]
    rooms: Mapping[str, Mapping[str, orjson.Fragment]]


@dataclass(frozen=True, slots=True)
class UserInsight:
    """Users of other servers too, where that means anything."""

    queries: Queries
    rows: AdministrationRows
    memberships_rows: Memberships
    account_data_rows: AccountDataRows
    accounts: AccountAdministration
    audit: AuditLog

    async def memberships(self, user_id: str) -> dict[str, str]:
        """What the user is, by room id, as far as this server knows. Raises InvalidParam."""
        found = await self.memberships_rows.of_user(self.queries, _user_id(user_id))
        return {room_id: entry.membership for room_id, entry in found.items()}

    async def rooms_joined_since(self, user_id: str, since_ms: int) -> int:
        """How many rooms the user has joined since then, those included that he left again. Raises InvalidParam.

        An event that says "join" may be a change of his name: rooms are counted, not events.
        """
        changes = await self.rows.own_changes(self.queries, _user_id(user_id), since_ms, MAX_CHANGES)
        return len({room_nid for room_nid, body in changes if _membership(body) == "join"})

    async def invitations_since(self, user_id: str, since_ms: int) -> int:
        """How many invitations the user has sent since then, `MAX_CHANGES` at most. Raises InvalidParam."""
        changes = await self.rows.about_others(self.queries, _user_id(user_id), since_ms, MAX_CHANGES)
        return sum(_membership(body) == "invite" for body in changes)

    async def account_data(self, requester: Requester, user_id: str) -> UserAccountData:
        """Everything his clients keep here. Raises InvalidParam, NotFound."""
        await self.accounts.get(user_id)
        await self.audit.record(self.queries, requester, "user.read_account_data", user_id)
        everywhere: dict[str, orjson.Fragment] = {}
        rooms: dict[str, dict[str, orjson.Fragment]] = {}
        for room_id, event_type, content in await self.account_data_rows.of_user(self.queries, user_id):
            place = everywhere if room_id == EVERYWHERE else rooms.setdefault(room_id, {})
            place[event_type] = orjson.Fragment(content)
        return UserAccountData(everywhere, rooms)


def _membership(body: bytes) -> Any:
    try:
        return orjson.loads(body)["content"]["membership"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _user_id(user_id: str) -> str:
    if not is_user_id(user_id):
        raise errors.InvalidParam("This is no user id")
    return user_id
