"""Conditions, compiled into three classes by what they depend on.

- `EventCondition`: the event and its room only. Decided once per event for everybody.
- `NamedReaders`: holds for exactly the readers that the event names (mentions, the invited user). Decided once per
  event as a set of user ids, so nobody walks over all members of a room.
- `ReaderCondition`: has to be asked for each reader (display names).

A condition of an unknown kind, or with parameters that make no sense, compiles to None and never matches: "Unrecognised
conditions MUST NOT match any events".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from homeserver.protocol.push_rules.facts import BODY, EventFacts, ReaderFacts
from homeserver.protocol.push_rules.globs import (
    MAX_PATTERN_LENGTH,
    as_word,
    compile_glob,
    compile_word_glob,
    has_wildcards,
)
from homeserver.protocol.push_rules.paths import MAX_PATH_LENGTH, parse_path
from homeserver.protocol.push_rules.rules import OWN_USER_ID

MAX_INTEGER: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, eq=False)
class EventCondition:
    """`event_type`: the only type, lower-cased, that can match; None where the condition is about something else."""

    test: Callable[[EventFacts], bool]
    event_type: str | None = None

    def holds(self, facts: EventFacts) -> bool:
        """The outcome, remembered in the facts: most rulesets ask the same questions."""
        outcome = facts.outcomes.get(self)
        if outcome is None:
            outcome = facts.outcomes[self] = self.test(facts)
        return outcome


@dataclass(frozen=True, slots=True, eq=False)
class NamedReaders:
    names: Callable[[EventFacts], frozenset[str]]


@dataclass(frozen=True, slots=True, eq=False)
class ReaderCondition:
    test: Callable[[EventFacts, ReaderFacts], bool]


Condition: TypeAlias = EventCondition | NamedReaders | ReaderCondition


def compile_condition(condition: Mapping[str, Any]) -> Condition | None:
    """A condition as the API has it, ready to be asked; None where it can never match."""
    compiler = _COMPILERS.get(_string(condition, "kind") or "")
    return None if compiler is None else compiler(condition)


def body_condition(pattern: str) -> EventCondition | None:
    """What a rule of kind `content` stands for: the pattern in `content.body`, between word boundaries."""
    return _event_match("content.body", pattern) if len(pattern) <= MAX_PATTERN_LENGTH else None


# --- One compiler per kind of condition -------------------------------------------------------------------------


def _compile_event_match(condition: Mapping[str, Any]) -> Condition | None:
    key, pattern = _key(condition), _string(condition, "pattern")
    if key is None or pattern is None or len(pattern) > MAX_PATTERN_LENGTH:
        return None
    return _names_in_string(key) if pattern == OWN_USER_ID else _event_match(key, pattern)


def _compile_event_property_is(condition: Mapping[str, Any]) -> Condition | None:
    key, value = _key(condition), condition.get("value")
    if key is None or "value" not in condition or not is_simple(value):
        return None
    return _names_in_string(key) if value == OWN_USER_ID else _property_is(key, type(value).__name__, value)


def _compile_event_property_contains(condition: Mapping[str, Any]) -> Condition | None:
    key, value = _key(condition), condition.get("value")
    if key is None or "value" not in condition or not is_simple(value):
        return None
    return _names_in_array(key) if value == OWN_USER_ID else _property_contains(key, type(value).__name__, value)


def _compile_contains_display_name(condition: Mapping[str, Any]) -> Condition:
    return _CONTAINS_DISPLAY_NAME


def _compile_room_member_count(condition: Mapping[str, Any]) -> Condition | None:
    comparison = _COMPARISON.fullmatch(_string(condition, "is") or "")
    return None if comparison is None else _member_count(comparison[1] or "==", int(comparison[2]))


def _compile_sender_notification_permission(condition: Mapping[str, Any]) -> Condition | None:
    key = _string(condition, "key")
    return None if key is None else _sender_may_notify(key)


def _compile_call_started(condition: Mapping[str, Any]) -> Condition:
    return _CALL_STARTED


def _compile_thread_subscription(condition: Mapping[str, Any]) -> Condition | None:
    subscribed = condition.get("subscribed")
    if not isinstance(subscribed, bool):
        return None
    return _SUBSCRIBED if subscribed else _UNSUBSCRIBED


_COMPILERS: Final[dict[str, Callable[[Mapping[str, Any]], Condition | None]]] = {
    "event_match": _compile_event_match,
    "event_property_is": _compile_event_property_is,
    "event_property_contains": _compile_event_property_contains,
    "contains_display_name": _compile_contains_display_name,
    "room_member_count": _compile_room_member_count,
    "sender_notification_permission": _compile_sender_notification_permission,
    "org.matrix.msc3914.call_started": _compile_call_started,
    "io.element.msc4306.thread_subscription": _compile_thread_subscription,
}


# --- The conditions themselves; equal ones are one object, so that their outcome is shared (EventCondition.holds) -----


@lru_cache(maxsize=4096)
def _event_match(key: str, pattern: str) -> EventCondition:
    path = parse_path(key)
    if path == BODY:
        return EventCondition(_body_test(pattern))
    matches = compile_glob(pattern)
    exact_type = pattern.lower() if path == ("type",) and not has_wildcards(pattern) else None
    return EventCondition(lambda facts: (text := facts.lowered(path)) is not None and matches(text), exact_type)


def _body_test(pattern: str) -> Callable[[EventFacts], bool]:
    word = as_word(pattern)
    if word is not None:
        return lambda facts: word in facts.body_words
    matches = compile_word_glob(pattern)
    return lambda facts: (text := facts.body) is not None and matches(text)


@lru_cache(maxsize=1024)
def _property_is(key: str, kind: str, value: Any) -> EventCondition:
    path = parse_path(key)
    exact_type = value.lower() if path == ("type",) and isinstance(value, str) else None
    # `kind` keeps `1` and `true` apart, which are equal in Python: "do not cast types".
    return EventCondition(
        lambda facts: type(found := facts.value(path)).__name__ == kind and found == value, exact_type
    )


@lru_cache(maxsize=1024)
def _property_contains(key: str, kind: str, value: Any) -> EventCondition:
    path = parse_path(key)

    def contains(facts: EventFacts) -> bool:
        array = facts.value(path)
        return isinstance(array, list) and any(type(item).__name__ == kind and item == value for item in array)

    return EventCondition(contains)


@lru_cache(maxsize=64)
def _names_in_string(key: str) -> NamedReaders:
    path = parse_path(key)
    return NamedReaders(lambda facts: frozenset((name,)) if isinstance(name := facts.value(path), str) else frozenset())


@lru_cache(maxsize=64)
def _names_in_array(key: str) -> NamedReaders:
    path = parse_path(key)

    def names(facts: EventFacts) -> frozenset[str]:
        array = facts.value(path)
        return frozenset(item for item in array if isinstance(item, str)) if isinstance(array, list) else frozenset()

    return NamedReaders(names)


_COMPARISON: Final = re.compile(r"(==|<=|>=|<|>)?([0-9]{1,15})", re.ASCII)
_COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": int.__eq__,
    "<": int.__lt__,
    ">": int.__gt__,
    "<=": int.__le__,
    ">=": int.__ge__,
}


@lru_cache(maxsize=256)
def _member_count(operator: str, number: int) -> EventCondition:
    compare = _COMPARE[operator]
    return EventCondition(lambda facts: compare(facts.room.member_count, number))


@lru_cache(maxsize=64)
def _sender_may_notify(key: str) -> EventCondition:
    return EventCondition(lambda facts: facts.room.may_notify(key))


def _call_started(facts: EventFacts) -> bool:
    """MSC3914: it rings or prompts, it is not over, and what was there before is, or is nothing."""
    content = facts.value(("content",))
    if not isinstance(content, Mapping) or content.get("m.intent") not in ("m.ring", "m.prompt"):
        return False
    return "m.terminated" not in content and (facts.replaced is None or "m.terminated" in facts.replaced)


_CALL_STARTED: Final = EventCondition(_call_started)


@lru_cache(maxsize=1024)
def _name_matcher(display_name: str) -> Callable[[EventFacts], bool]:
    """A display name is text, not a pattern: stars and question marks in it mean themselves."""
    word = as_word(display_name)
    if word is not None:
        return lambda facts: word in facts.body_words
    bounded = re.compile(rf"(?<![a-z0-9_]){re.escape(display_name.lower())}(?![a-z0-9_])", re.ASCII)
    return lambda facts: (body := facts.body) is not None and bounded.search(body) is not None


def _contains_display_name(facts: EventFacts, reader: ReaderFacts) -> bool:
    return bool(reader.display_name) and _name_matcher(reader.display_name or "")(facts)


_CONTAINS_DISPLAY_NAME: Final = ReaderCondition(_contains_display_name)


_SUBSCRIBED: Final = NamedReaders(lambda facts: facts.thread.subscribed)
_UNSUBSCRIBED: Final = NamedReaders(lambda facts: facts.thread.unsubscribed)


# --- Parameters ---------------------------------------------------------------------------------------------------


def is_simple(value: object) -> bool:
    """Whether this is a value the exact conditions compare: string, integer in range, boolean or null."""
    if isinstance(value, int):
        return -MAX_INTEGER <= value <= MAX_INTEGER
    return value is None or isinstance(value, str)


def _string(condition: Mapping[str, Any], name: str) -> str | None:
    value = condition.get(name)
    return value if isinstance(value, str) else None


def _key(condition: Mapping[str, Any]) -> str | None:
    key = _string(condition, "key")
    return key if key is not None and len(key) <= MAX_PATH_LENGTH else None
