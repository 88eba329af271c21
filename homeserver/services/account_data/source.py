"""Account data as sync asks for it, push rules included: they are account data to clients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.account_data.ignored import IgnoredUsers
from homeserver.services.account_data.invite_filters import InviteFilters
from homeserver.services.account_data.stream import AccountDataStream, RecentEntry, render_event
from homeserver.services.push_rules.push_rules import PushRules
from homeserver.services.sync.sources import AccountDataEvents
from homeserver.storage.account_data import EVERYWHERE, AccountDataRows
from homeserver.storage.positions import StreamPosition

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Entry = tuple[str, str, bytes]
"""Room id, type, event."""


@dataclass(slots=True)
class AccountDataForSync:
    """Implements `AccountDataSource`."""

    queries: Queries
    rows: AccountDataRows
    changes: AccountDataStream
    ignored: IgnoredUsers
    push_rules: PushRules
    invites: InviteFilters
    stream: StreamPosition = field(init=False)

    def __post_init__(self) -> None:
        self.stream = self.changes.position

    async def everything(self, user_id: str) -> AccountDataEvents:
        """All of it, in two statements; one where the user's push rules are in memory."""
        entries = [_entry(*row) for row in await self.rows.of_user(self.queries, user_id)]
        return _grouped([(EVERYWHERE, "m.push_rules", await self.push_rules.event(user_id)), *entries])

    async def of_rooms(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, Sequence[bytes]]:
        """By room, all that is set for it; one statement."""
        rows = await self.rows.of_rooms(self.queries, user_id, room_ids)
        return _grouped(_entry(*row) for row in rows).by_room

    async def changed(self, user_id: str, since: int, to: int) -> AccountDataEvents:
        """What was set in `(since, to]`; no statement where that is recent and not large."""
        if since >= to:
            return AccountDataEvents()
        recent = self.changes.recent.since(since, to)
        if recent is not None:
            remembered = _remembered(recent, user_id)
            if remembered is not None:
                return _grouped(remembered)
        entries = [_entry(*row) for row in await self.rows.changed(self.queries, user_id, since, to)]
        if await self.push_rules.changed(user_id, since, to):
            entries.append((EVERYWHERE, "m.push_rules", await self.push_rules.event(user_id)))
        return _grouped(entries)

    async def ignored_users(self, user_id: str) -> Collection[str]:
        """Whom the user ignores."""
        return await self.ignored.of_user(user_id)

    async def hidden_inviters(self, user_id: str, inviters: Collection[str]) -> Collection[str]:
        """Those of the inviters of whose invitations the user sees nothing."""
        return await self.invites.hidden(user_id, inviters)


def _entry(room_id: str, event_type: str, content: bytes) -> Entry:
    return room_id, event_type, render_event(event_type, content)


def _remembered(recent: Iterable[RecentEntry], user_id: str) -> list[Entry] | None:
    """The user's entries; None where one of them was too large to be remembered."""
    entries: list[Entry] = []
    for entry in recent:
        if entry.user_id != user_id:
            continue
        if entry.event is None:
            return None
        entries.append((entry.room_id, entry.type, entry.event))
    return entries


def _grouped(entries: Iterable[Entry]) -> AccountDataEvents:
    """By room; of entries that were set twice the later one."""
    newest = {(room_id, event_type): event for room_id, event_type, event in entries}
    by_room: dict[str, list[bytes]] = {}
    for (room_id, _), event in newest.items():
        by_room.setdefault(room_id, []).append(event)
    everywhere = by_room.pop(EVERYWHERE, [])
    return AccountDataEvents(everywhere, by_room)
