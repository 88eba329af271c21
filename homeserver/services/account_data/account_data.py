"""Sets and gets account data ("Client Config")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_room_id, utf8_length
from homeserver.protocol.invite_filter import CONFIGS as INVITE_CONFIGS
from homeserver.services.account_data.ignored import IGNORED_USER_LIST, IgnoredUsers
from homeserver.services.account_data.invite_filters import InviteFilters
from homeserver.services.account_data.stream import AccountDataStream, AccountDataWrite
from homeserver.storage.account_data import EVERYWHERE, AccountDataLimits, AccountDataRows
from homeserver.storage.database_errors import OUTCOME_UNKNOWN

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

FULLY_READ = "m.fully_read"
PUSH_RULES = "m.push_rules"
# "Servers must reject setting account data for event types that the server manages by using a 405 error response."
SERVER_MANAGED = frozenset({FULLY_READ, PUSH_RULES})

MAX_TYPE_BYTES = 255
# All rooms' tags, markers and settings together, and what was deleted of them; the largest accounts have some thousands.
MAX_ENTRIES = 20_000
# Every initial sync carries all of it.
MAX_BYTES = 16 * 1024 * 1024
LIMITS = AccountDataLimits(MAX_ENTRIES, MAX_BYTES)
DELETED = b"{}"


@dataclass(slots=True)
class AccountData:
    """Verbs over a user's own account data. `room_id` is EVERYWHERE for global account data."""

    queries: Queries
    rows: AccountDataRows
    stream: AccountDataStream
    ignored: IgnoredUsers
    invites: InviteFilters

    async def put(
        self, requester: Requester, user_id: str, room_id: str, event_type: str, content: dict[str, Any]
    ) -> None:
        """Set one entry; an empty one is deleted, which is how clients do it that do not know better (MSC3391).

        Raises Forbidden, InvalidParam, a 405 for types of the server's own, TooLarge.
        """
        check_owner(requester, user_id)
        check_room(room_id)
        _check_not_managed(event_type)
        if not event_type or utf8_length(event_type) > MAX_TYPE_BYTES:
            raise errors.InvalidParam(f"The type must have 1 to {MAX_TYPE_BYTES} bytes")
        if content:
            await self._store(user_id, room_id, event_type, orjson.dumps(content))
        else:
            await self._delete(user_id, room_id, event_type)

    async def _store(self, user_id: str, room_id: str, event_type: str, content: bytes) -> None:
        async with self._writing(user_id) as write:
            stored = await self.rows.put(self.queries, user_id, room_id, event_type, content, write.position, LIMITS)
            if not stored:
                raise errors.TooLarge(
                    f"A user has at most {MAX_ENTRIES} entries of account data, and {MAX_BYTES} bytes of it"
                )
            write.done(user_id, room_id, event_type, content)
            self._follow(user_id, room_id, event_type, content)

    @asynccontextmanager
    async def _writing(self, user_id: str) -> AsyncIterator[AccountDataWrite]:
        try:
            async with self.stream.writing() as write:
                yield write
        except OUTCOME_UNKNOWN:
            self.ignored.forget(user_id)
            self.invites.forget(user_id)
            raise

    def _follow(self, user_id: str, room_id: str, event_type: str, content: bytes) -> None:
        if room_id == EVERYWHERE and event_type == IGNORED_USER_LIST:
            self.ignored.changed(user_id, content)
        if room_id == EVERYWHERE and event_type in INVITE_CONFIGS:
            self.invites.forget(user_id)

    async def get(self, requester: Requester, user_id: str, room_id: str, event_type: str) -> bytes:
        """The content of one entry, in JSON. Raises Forbidden, InvalidParam, NotFound."""
        check_owner(requester, user_id)
        check_room(room_id)
        stored = await self.rows.get(self.queries, user_id, room_id, event_type)
        if stored is None or stored.deleted:
            raise errors.NotFound("There is no such account data")
        return stored.content

    async def delete(self, requester: Requester, user_id: str, room_id: str, event_type: str) -> None:
        """Delete one entry (MSC3391), which syncs are told of as an empty one. One that is not there is no error.

        Raises Forbidden, InvalidParam, a 405 for types of the server's own.
        """
        check_owner(requester, user_id)
        check_room(room_id)
        _check_not_managed(event_type)
        await self._delete(user_id, room_id, event_type)

    async def _delete(self, user_id: str, room_id: str, event_type: str) -> None:
        async with self._writing(user_id) as write:
            if not await self.rows.delete(self.queries, user_id, room_id, event_type, write.position):
                return
            write.done(user_id, room_id, event_type, DELETED)
            self._follow(user_id, room_id, event_type, DELETED)


def _check_not_managed(event_type: str) -> None:
    if event_type in SERVER_MANAGED:
        raise errors.MatrixError("M_BAD_JSON", 405, f"{event_type} is managed by the server")


def check_owner(requester: Requester, user_id: str) -> None:
    """ "Users may only view the account data for their own account." Raises Forbidden."""
    if requester.user_id != user_id:
        raise errors.Forbidden("Account data of other users is theirs alone")


def check_room(room_id: str) -> None:
    """Raises InvalidParam where this is neither a room id nor EVERYWHERE."""
    if room_id != EVERYWHERE and not is_room_id(room_id):
        raise errors.InvalidParam("That is no room id")
