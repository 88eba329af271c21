"""Two servers meet in a room: who is present here is told there, for nobody has told it before.

Source: server-server API, "Presence": servers tell changes of presence to those that share a room. What a user was before
somebody shared a room with him was no change for that server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.sending.destination import presence_edu
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.rooms.unsigned import came_in

if TYPE_CHECKING:
    from homeserver.federation.sending.sender import Sender
    from homeserver.services.clock import Clock
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent

AFTER_MS: Final = 300
"""Whoever comes in learns from our answer who is there; before that, nobody's presence means anything to him."""
MAX_PEOPLE: Final = 100
"""Of ours in one room."""
MAX_WAITING: Final = 1_000


@dataclass(slots=True)
class Meetings:
    """`note` is synchronous; `tell` does what is due, and is called every second."""

    server_name: str
    sender: Sender
    cache: RoomCache
    shown: Callable[[str], Mapping[str, Any] | None]
    clock: Clock
    _due: dict[tuple[str, str], int] = field(default_factory=dict)
    """When, by room and user who came. What passes when we stop is not missed: others are offline with us then."""

    def memory_usage(self) -> dict[str, int]:
        """People who have come, of whom nothing was told yet."""
        return {"waiting": len(self._due)}

    def note(self, events: Sequence[TimelineEvent]) -> None:
        """After the commit."""
        for event in events:
            if event.state_key is None or not came_in(event):
                continue
            if len(self._due) < MAX_WAITING and self._is_meeting(event.room_id, event.state_key):
                self._due[event.room_id, event.state_key] = self.clock.now_ms() + AFTER_MS

    def _is_meeting(self, room_id: str, user_id: str) -> bool:
        """Whether one of ours came to others, or the first of a server to ours."""
        room = self.cache.peek(room_id)
        if room is None:
            return False
        if server_name_of(user_id) == self.server_name:
            return len(room.servers) > 1
        return bool(room.joined_local) and room.servers.get(server_name_of(user_id)) == 1

    def tell(self) -> None:
        """Of all who met long enough ago. No statements."""
        now_ms = self.clock.now_ms()
        for room_id, user_id in [key for key, due_ms in self._due.items() if due_ms <= now_ms]:
            del self._due[room_id, user_id]
            room = self.cache.peek(room_id)
            if room is None:
                continue
            if server_name_of(user_id) == self.server_name:
                self._say([user_id], list(room.servers))
            else:
                self._say(list(islice(room.joined_local, MAX_PEOPLE)), [server_name_of(user_id)])

    def _say(self, user_ids: Sequence[str], servers: Sequence[str]) -> None:
        for user_id in user_ids:
            content = self.shown(user_id)
            if content is not None:
                self.sender.say(servers, ("m.presence", user_id), presence_edu(user_id, content))
