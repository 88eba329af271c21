"""Which servers of a room to ask for its history, the likeliest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Final

from homeserver.protocol.identifiers import server_name_of
from homeserver.services.rooms.live_room import LiveRoom

RetryAtMs = Callable[[str], int]
"""`Pauses.retry_at_ms`."""
MAX_SERVERS: Final = 4
MEMBER: Final = "m.room.member"


@dataclass(frozen=True, slots=True)
class RoomServers:
    """`now_ms`: servers that are left alone until later than that are not named."""

    server_name: str
    now_ms: Callable[[], int]
    retry_at_ms: RetryAtMs

    def likeliest(self, room: LiveRoom, most: int = MAX_SERVERS) -> list[str]:
        """Servers with users in the room: its creator's, then by turns those that have been in it the longest
        ("they're most likely to have anything we ask about") and those with the most users.
        """
        there = {name: count for name, count in room.servers.items() if name != self.server_name}
        create = room.state.get("m.room.create")
        first = () if create is None else (server_name_of(create.sender),)
        both = zip(self._by_seniority(room), sorted(there, key=lambda name: -there[name]), strict=False)
        now_ms = self.now_ms()
        found: list[str] = []
        for name in dict.fromkeys(chain(first, chain.from_iterable(both))):
            if name in there and self.retry_at_ms(name) <= now_ms:
                found.append(name)
                if len(found) == most:
                    break
        return found

    def _by_seniority(self, room: LiveRoom) -> list[str]:
        """A membership that has been in force for longer is older; of those that were here when we came, the one that
        says so.
        """
        members = [event for event in room.state.of_type(MEMBER).values() if event.state_key in room.joined]
        members.sort(key=lambda event: (event.position, event.depth))
        names = (server_name_of(event.state_key or "") for event in members)
        return list(dict.fromkeys(name for name in names if name != self.server_name))
