"""Who has to be looked at, and when: members of rooms in which something notified, ten minutes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from homeserver.services.push.checks import EMAIL

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.push.registry import PusherRegistry
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Queries
    from homeserver.storage.mailed_rooms import MailedRoomRows

DELAY_MS: Final = 10 * 60_000
"""Who reads it within this time needs no mail."""


@dataclass(slots=True)
class DueReaders:
    """In memory: after a start everybody with an e-mail pusher is looked at once."""

    queries: Queries
    rows: MailedRoomRows
    registry: PusherRegistry
    clock: Clock
    _rooms: dict[str, int] = field(default_factory=dict)
    """When something first notified there that nobody has been looked at for."""
    _users: dict[str, int] = field(default_factory=dict)

    async def begin(self) -> None:
        """Look at everybody."""
        for pusher in self.registry.all():
            if pusher.kind == EMAIL and pusher.enabled:
                self.at(pusher.user_id, self.clock.now_ms() + DELAY_MS)

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """A listener of the announcer."""
        if self.registry.mailed:
            for event in events:
                if event.notifies or event.exceptions:
                    self._rooms.setdefault(event.room_id, self.clock.now_ms())

    def outside(self, event: TimelineEvent) -> None:
        """A listener for memberships of rooms that this server is not in."""
        if event.state_key is not None and event.state_key in self.registry.mailed:
            self.at(event.state_key, self.clock.now_ms() + DELAY_MS)

    def at(self, user_id: str, due_ms: int) -> None:
        """Look at the user then, or earlier where that was wanted already."""
        self._users[user_id] = min(due_ms, self._users.get(user_id, due_ms))

    async def take(self, maximum: int) -> list[str]:
        """Users who are to be looked at now; one statement where something happened."""
        now_ms = self.clock.now_ms()
        ripe = [room_id for room_id, since_ms in self._rooms.items() if since_ms + DELAY_MS <= now_ms]
        if ripe:
            readers = await self.rows.readers(self.queries, ripe, self.registry.mailed)
            for room_id in ripe:
                del self._rooms[room_id]
            for user_id in readers:
                self.at(user_id, now_ms)
        due = list(islice((user_id for user_id, due_ms in self._users.items() if due_ms <= now_ms), maximum))
        for user_id in due:
            del self._users[user_id]
        return due

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._rooms), "users": len(self._users)}
