"""How a user has marked his rooms: which are direct chats (`m.direct`), and their tags."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.services.sync.sources import AccountDataEvents, AccountDataSource

DIRECT, TAG = "m.direct", "m.tag"
NO_TAGS: frozenset[str] = frozenset()
MAX_USERS = 20_000


@dataclass(frozen=True, slots=True)
class Marks:
    """As of position `at` of the stream of account data."""

    at: int
    direct: frozenset[str] = frozenset()
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def tags_of(self, room_id: str) -> frozenset[str]:
        return self.tags.get(room_id, NO_TAGS)

    def changed(self, news: AccountDataEvents, at: int) -> Marks:
        """With what was set since."""
        direct, tags = self.direct, dict(self.tags)
        for event in news.everywhere:
            parsed = orjson.loads(event)
            if parsed["type"] == DIRECT:
                direct = _rooms_in(parsed["content"])
        for room_id, events in news.by_room.items():
            for event in events:
                parsed = orjson.loads(event)
                if parsed["type"] == TAG:
                    tags[room_id] = _tags_in(parsed["content"])
        return Marks(at, direct, tags)


@dataclass(slots=True)
class UserMarks:
    """Bounded cache."""

    account_data: AccountDataSource
    capacity: int = MAX_USERS
    _users: OrderedDict[str, Marks] = field(default_factory=OrderedDict)

    async def of_user(self, user_id: str, to: int) -> Marks:
        """The user's marks as of a position, or newer; no statement where they are in memory and the changes recent."""
        known = self._users.get(user_id)
        if known is None:
            return self.learn(user_id, await self.account_data.everything(user_id), to)
        self._users.move_to_end(user_id)
        if known.at >= to:
            return known
        return self._keep(user_id, known.changed(await self.account_data.changed(user_id, known.at, to), to))

    def learn(self, user_id: str, everything: AccountDataEvents, at: int) -> Marks:
        """All of the user's account data was read, no earlier than at this position."""
        return self._keep(user_id, Marks(at).changed(everything, at))

    def _keep(self, user_id: str, marks: Marks) -> Marks:
        self._users[user_id] = marks
        self._users.move_to_end(user_id)
        if len(self._users) > self.capacity:
            self._users.popitem(last=False)
        return marks

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"users": len(self._users)}


def _rooms_in(content: Any) -> frozenset[str]:
    """ "The content of the event is an object where the keys are the user IDs and values are lists of room ID strings"."""
    lists = content.values() if isinstance(content, dict) else ()
    return frozenset(room for rooms in lists if isinstance(rooms, list) for room in rooms if isinstance(room, str))


def _tags_in(content: Any) -> frozenset[str]:
    tags = content.get("tags") if isinstance(content, dict) else None
    return frozenset(tags) if isinstance(tags, dict) else NO_TAGS
