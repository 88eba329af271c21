"""How a user has marked his rooms: which are direct chats (`m.direct`), and their tags."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.services.sync.sources import AccountDataEvents, AccountDataSource

DIRECT, TAG = "m.direct", "m.tag"
NO_TAGS: frozenset[str] = frozenset()
# Of all users together, in units of 300 bytes: a few for most, and for one thousands.
MAX_WEIGHT = 200_000
WEIGHT_BYTES, WORD_BYTES = 300, 80


@dataclass(frozen=True, slots=True)
class Marks:
    """As of position `at` of the stream of account data."""

    at: int
    direct: frozenset[str] = frozenset()
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """What they take in memory, in units of WEIGHT_BYTES."""
        texts = itertools.chain(self.direct, self.tags, *self.tags.values())
        return 2 + (sum(WORD_BYTES + len(text) for text in texts) + 200 * len(self.tags)) // WEIGHT_BYTES

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
    most: int = MAX_WEIGHT
    _users: OrderedDict[str, Marks] = field(default_factory=OrderedDict)
    _weights: dict[str, int] = field(default_factory=dict)
    _weight: int = 0

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
        weight = marks.weight
        self._weight += weight - self._weights.get(user_id, 0)
        self._users[user_id], self._weights[user_id] = marks, weight
        self._users.move_to_end(user_id)
        while self._weight > self.most and len(self._users) > 1:
            other, _ = self._users.popitem(last=False)
            self._weight -= self._weights.pop(other)
        return marks

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"users": len(self._users), "weight": self._weight}


def _rooms_in(content: Any) -> frozenset[str]:
    """ "The content of the event is an object where the keys are the user IDs and values are lists of room ID strings"."""
    lists = content.values() if isinstance(content, dict) else ()
    return frozenset(room for rooms in lists if isinstance(rooms, list) for room in rooms if isinstance(room, str))


def _tags_in(content: Any) -> frozenset[str]:
    tags = content.get("tags") if isinstance(content, dict) else None
    return frozenset(tags) if isinstance(tags, dict) else NO_TAGS
