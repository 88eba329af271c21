"""Compiled rulesets of users who changed their push rules; everybody else has the default one.

What a user changed is compiled room by room, without the rules that are about other rooms. Most people's changes are
such rules (a muted room) or the same few choices ("mentions only"), so in a given room a handful of compiled rulesets
serves everybody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import orjson

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
from homeserver.protocol.push_rules.customisation import from_json, to_json
from homeserver.services.push_rules.rules_of_room import rules_of_room
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


class CompiledRules:
    """A compiled ruleset, shared by all who have the same. Immutable but for what it remembers."""

    __slots__ = ("__weakref__", "_loud", "evaluator")

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._loud: dict[RoomKind, bool] = {}

    def loud(self, room: RoomKind) -> bool:
        """Whether a plain message in this room notifies.

        Where it does not (muted, "mentions only"), the events' own NOTIFIES flag does not count for the reader. So a
        muted room costs nothing: only what deviates from this is stored, event by event.
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


DEFAULT_COMPILED = CompiledRules(DEFAULT_EVALUATOR)


@dataclass(slots=True)
class Compiler:
    """Compiles each customisation once, however many users have it."""

    _compiled: WeakValueDictionary[bytes, CompiledRules] = field(default_factory=WeakValueDictionary)

    def compile(self, customisation: Customisation) -> CompiledRules:
        """The rules that the customisation and the default rules make."""
        if not customisation:
            return DEFAULT_COMPILED
        key = orjson.dumps(to_json(customisation))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = CompiledRules(compile_ruleset(effective_ruleset(customisation)))
        return compiled


class ReaderRules:
    """One user's rules: what he changed, and what that makes of the rules in each room."""

    __slots__ = ("_compiler", "_in_rooms", "customisation")

    def __init__(self, customisation: Customisation, compiler: Compiler) -> None:
        self.customisation = customisation
        self._compiler = compiler
        self._in_rooms: dict[str, CompiledRules] = {}

    def in_room(self, room_id: str) -> CompiledRules:
        """The rules that can match events of this room."""
        known = self._in_rooms.get(room_id)
        if known is None:
            if len(self._in_rooms) >= MAX_ROOMS_REMEMBERED:
                self._in_rooms.clear()
            known = self._compiler.compile(rules_of_room(self.customisation, room_id))
            self._in_rooms[room_id] = known
        return known


DEFAULT_RULES = ReaderRules(NO_CUSTOMISATION, Compiler())


@dataclass(slots=True)
class Rulesets:
    """Knows, without asking, who customised anything; customisations are in a bounded cache."""

    queries: Queries
    rows: PushRuleRows
    capacity: int = 10_000
    customised: set[str] = field(default_factory=set)
    _compiler: Compiler = field(default_factory=Compiler)
    _cache: OrderedDict[str, ReaderRules] = field(default_factory=OrderedDict)

    async def load(self) -> None:
        """Learn who customised his rules; once, before the first request."""
        self.customised = await self.rows.customised(self.queries)

    async def of_user(self, user_id: str) -> ReaderRules:
        """The user's rules; one statement where he customised them and they are not in memory."""
        return (await self.of_users((user_id,))).get(user_id, DEFAULT_RULES)

    async def of_users(self, user_ids: Collection[str]) -> Mapping[str, ReaderRules]:
        """Rules of those who have rules of their own; at most one statement."""
        found: dict[str, ReaderRules] = {}
        missing: list[str] = []
        for user_id in user_ids:
            rules = self._cache.get(user_id)
            if rules is not None:
                found[user_id] = rules
                self._cache.move_to_end(user_id)
            elif user_id in self.customised:
                missing.append(user_id)
        if missing:
            found.update(await self._load(missing))
        return found

    async def _load(self, user_ids: Collection[str]) -> dict[str, ReaderRules]:
        loaded: dict[str, ReaderRules] = {}
        for user_id, stored in (await self.rows.of_users(self.queries, user_ids)).items():
            # A change that committed meanwhile is newer than what was read.
            if user_id in self.customised and user_id not in self._cache:
                self._cache[user_id] = ReaderRules(from_json(stored), self._compiler)
            if user_id in self._cache:
                loaded[user_id] = self._cache[user_id]
        while len(self._cache) > self.capacity:
            self._cache.popitem(last=False)
        return loaded

    def changed(self, user_id: str, customisation: Customisation) -> None:
        """Follow a committed change."""
        if customisation:
            self.customised.add(user_id)
            self._cache[user_id] = ReaderRules(customisation, self._compiler)
        else:
            self.customised.discard(user_id)
            self._cache.pop(user_id, None)

    def forget(self, user_id: str) -> None:
        """It is not known whether a change was stored: ask the database."""
        self.customised.add(user_id)
        self._cache.pop(user_id, None)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"customised": len(self.customised), "in_memory": len(self._cache)}
