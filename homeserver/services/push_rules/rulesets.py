"""Compiled rulesets of users who changed their push rules; everybody else has the default one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.push_rules import (
    DEFAULT_EVALUATOR,
    NO_CUSTOMISATION,
    Customisation,
    Evaluator,
    EventFacts,
    ReaderFacts,
    RoomFacts,
    compile_ruleset,
    effective_ruleset,
)
from homeserver.protocol.push_rules.customisation import from_json
from homeserver.storage.push_rules import PushRuleRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_ROOMS_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class RoomKind:
    """What push rules ask about a room as such. `members`: joined, at most 3."""

    room_id: str
    members: int
    encrypted: bool


class ReaderRules:
    """One user's rules. Immutable but for what it remembers."""

    __slots__ = ("_loud", "customisation", "evaluator")

    def __init__(self, customisation: Customisation) -> None:
        self.customisation = customisation
        self.evaluator: Evaluator = (
            compile_ruleset(effective_ruleset(customisation)) if customisation else DEFAULT_EVALUATOR
        )
        self._loud: dict[RoomKind, bool] = {}

    def loud(self, room: RoomKind) -> bool:
        """Whether a plain message in this room notifies the user.

        Where it does not (muted, "mentions only"), the events' own NOTIFIES flag does not count for him. So a muted
        room costs nothing: only what deviates from this is stored, event by event.
        """
        known = self._loud.get(room)
        if known is None:
            if len(self._loud) >= MAX_ROOMS_REMEMBERED:
                self._loud.clear()
            known = self._loud[room] = _notifies_plainly(self.evaluator, room)
        return known


def _notifies_plainly(evaluator: Evaluator, room: RoomKind) -> bool:
    event = {
        "type": "m.room.encrypted" if room.encrypted else "m.room.message",
        "sender": "",
        "content": {} if room.encrypted else {"msgtype": "m.text", "body": ""},
    }
    facts = EventFacts(event, RoomFacts(room.members), room_id=room.room_id)
    return evaluator.decide(facts).for_reader(ReaderFacts("\0")).notify


DEFAULT_RULES = ReaderRules(NO_CUSTOMISATION)


@dataclass(slots=True)
class Rulesets:
    """Knows, without asking, who customised anything; compiled rules are in a bounded cache."""

    queries: Queries
    rows: PushRuleRows
    capacity: int = 10_000
    customised: set[str] = field(default_factory=set)
    _cache: OrderedDict[str, ReaderRules] = field(default_factory=OrderedDict)

    async def load(self) -> None:
        """Learn who customised his rules; once, before the first request."""
        self.customised = await self.rows.customised(self.queries)

    async def of_user(self, user_id: str) -> ReaderRules:
        """The user's rules; one statement where he customised them and they are not in memory."""
        return (await self.of_users((user_id,))).get(user_id, DEFAULT_RULES)

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, ReaderRules]:
        """Rules of those who have rules of their own; at most one statement."""
        wanted = [user_id for user_id in user_ids if user_id in self.customised]
        missing = [user_id for user_id in wanted if user_id not in self._cache]
        found = {user_id: self._cache[user_id] for user_id in wanted if user_id in self._cache}
        if missing:
            found.update(await self._load(missing))
        for user_id in found:
            self._cache.move_to_end(user_id)
        while len(self._cache) > self.capacity:
            self._cache.popitem(last=False)
        return found

    async def _load(self, user_ids: Collection[str]) -> dict[str, ReaderRules]:
        loaded: dict[str, ReaderRules] = {}
        for user_id, stored in (await self.rows.of_users(self.queries, user_ids)).items():
            # A change that committed meanwhile is newer than what was read.
            if user_id in self.customised and user_id not in self._cache:
                self._cache[user_id] = ReaderRules(from_json(stored))
            if user_id in self._cache:
                loaded[user_id] = self._cache[user_id]
        return loaded

    def changed(self, user_id: str, customisation: Customisation) -> None:
        """Follow a committed change."""
        if customisation:
            self.customised.add(user_id)
            self._cache[user_id] = ReaderRules(customisation)
        else:
            self.customised.discard(user_id)
            self._cache.pop(user_id, None)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"customised": len(self.customised), "compiled": len(self._cache)}
