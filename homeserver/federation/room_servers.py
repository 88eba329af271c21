"""Which servers of a room to ask for its history, the likeliest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Final

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent

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
        members = [event for event in room.state.of_type(MEMBER).values() if event.state_key in room.joined]
        members = [event for event in members if server_of(event.state_key or "") != self.server_name]
        create = room.state.get("m.room.create")
        first = () if create is None else (server_of(create.sender),)
        by_users = _by_users(members)
        both = zip(_by_seniority(members), by_users, strict=True)
        there = set(by_users)
        now_ms = self.now_ms()
        found: list[str] = []
        for name in dict.fromkeys(chain(first, chain.from_iterable(both))):
            if name in there and self.retry_at_ms(name) <= now_ms:
                found.append(name)
                if len(found) == most:
                    break
        return found


def server_of(user_id: str) -> str:
    """What follows the first colon."""
    return user_id.partition(":")[2]


def _by_seniority(members: Iterable[TimelineEvent]) -> list[str]:
    """A membership that has been in force for longer is older; of those that we found here when we came, the one
    that says so.
    """
    oldest_first = sorted(members, key=lambda event: (event.position, event.depth))
    return list(dict.fromkeys(server_of(event.state_key or "") for event in oldest_first))


def _by_users(members: Iterable[TimelineEvent]) -> list[str]:
    users = Counter(server_of(event.state_key or "") for event in members)
    return [name for name, _ in users.most_common()]
