"""Evaluation, made for fan-out: one event, many readers.

`compile_ruleset` turns a ruleset into an `Evaluator`. `Evaluator.decide` looks at the event once and leaves a
`Decision`: which readers the event names, what is left to ask about single readers, and the action for all others.
Everybody with the same rules shares the evaluator, hence the decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from homeserver.protocol.push_rules.conditions import (
    Condition,
    EventCondition,
    NamedReaders,
    ReaderCondition,
    body_condition,
    compile_condition,
)
from homeserver.protocol.push_rules.default_rules import DEFAULT_RULESET
from homeserver.protocol.push_rules.facts import NO_THREAD, EventFacts, ReaderFacts
from homeserver.protocol.push_rules.globs import as_word
from homeserver.protocol.push_rules.rules import HISTORICAL_ACTIONS, POSTCONTENT, JsonAction, PushRule, Ruleset

# Rules per event type are sorted out once per type and evaluator; a room may use any number of types.
MAX_PLANS: Final = 32


@dataclass(frozen=True, slots=True)
class Action:
    """What the first matching rule says. `actions`: as the push gateway and GET /notifications get them."""

    notify: bool = False
    highlight: bool = False
    sound: str | None = None
    actions: tuple[JsonAction, ...] = ()


NOTHING: Final = Action()


def compile_actions(actions: tuple[JsonAction, ...]) -> Action:
    """The tweaks only count together with `notify`: no notification has no sound and no highlight."""
    actions = tuple(action for action in actions if isinstance(action, dict) or action not in HISTORICAL_ACTIONS)
    if "notify" not in actions:
        return Action(actions=actions) if actions else NOTHING
    highlight, sound = False, None
    for action in actions:
        if isinstance(action, dict) and action.get("set_tweak") == "highlight":
            # "If a highlight tweak is given with no value, its value is defined to be true."
            highlight = action.get("value", True) is not False
        elif isinstance(action, dict) and action.get("set_tweak") == "sound":
            value = action.get("value")
            sound = value if isinstance(value, str) else None
    return Action(True, highlight, sound, actions)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """An enabled rule whose conditions are all known. `event_type`: the only type it can match, None for any."""

    on_event: tuple[EventCondition, ...]
    on_names: tuple[NamedReaders, ...]
    on_reader: tuple[ReaderCondition, ...]
    action: Action
    event_type: str | None

    def holds_for_event(self, facts: EventFacts) -> bool:
        return all(condition.holds(facts) for condition in self.on_event)

    def is_general(self) -> bool:
        """Whether the rule does not care who reads."""
        return not self.on_names and not self.on_reader

    def candidates(self, facts: EventFacts) -> Candidates | None:
        """For whom the rule holds; None where it is nobody."""
        names: frozenset[str] | None = None
        for condition in self.on_names:
            named = condition.names(facts)
            names = named if names is None else names & named
        return None if names is not None and not names else Candidates(names, self.on_reader, self.action)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """A rule that holds for some readers. `names`: these only; None for anybody who passes `tests`."""

    names: frozenset[str] | None
    tests: tuple[ReaderCondition, ...]
    action: Action

    def includes(self, facts: EventFacts, reader: ReaderFacts) -> bool:
        if self.names is not None and reader.user_id not in self.names:
            return False
        return all(condition.test(facts, reader) for condition in self.tests)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a ruleset makes of an event, for all its readers."""

    facts: EventFacts
    candidates: tuple[Candidates, ...]
    otherwise: Action

    @property
    def named(self) -> frozenset[str] | None:
        """The only readers whose action may differ from `otherwise`; None where any reader's may."""
        names: frozenset[str] = frozenset()
        for candidates in self.candidates:
            if candidates.names is None:
                return None
            names |= candidates.names
        return names

    def for_reader(self, reader: ReaderFacts) -> Action:
        """The action for one reader. Nobody is notified of what he sent himself (v1.19, "Push Rules")."""
        if reader.user_id == self.facts.sender:
            return NOTHING
        for candidates in self.candidates:
            if candidates.includes(self.facts, reader):
                return candidates.action
        return self.otherwise


class Evaluator:
    """A compiled ruleset. Immutable from outside; keeps which of its rules can match which event type."""

    __slots__ = ("_content", "_override", "_plans", "_postcontent", "_rooms", "_senders", "_underride", "_words")

    def __init__(self, ruleset: Ruleset) -> None:
        self._override = _compile_rules(ruleset.by_kind["override"])
        self._postcontent = _compile_rules(ruleset.by_kind[POSTCONTENT])
        self._underride = _compile_rules(ruleset.by_kind["underride"])
        self._rooms = _actions_by_id(ruleset.by_kind["room"])
        self._senders = _actions_by_id(ruleset.by_kind["sender"])
        self._words: dict[str, tuple[int, Action]] = {}
        self._content: list[tuple[int, EventCondition, Action]] = []
        self._compile_content(ruleset.by_kind["content"])
        self._plans: dict[str, tuple[tuple[CompiledRule, ...], tuple[CompiledRule, ...]]] = {}

    def _compile_content(self, rules: Iterable[PushRule]) -> None:
        for order, rule in enumerate(rules):
            condition = body_condition(rule.pattern or "")
            if not rule.enabled or condition is None:
                continue
            action, word = compile_actions(rule.actions), as_word(rule.pattern or "")
            if word is None:
                self._content.append((order, condition, action))
            else:
                self._words.setdefault(word, (order, action))

    def decide(self, facts: EventFacts) -> Decision:
        """Evaluate everything that does not depend on the reader."""
        override, underride = self._plan(facts.event_type)
        candidates: list[Candidates] = []
        action = _first_match(override, facts, candidates)
        if action is None:
            action = self._match_content(facts)
        if action is None and facts.thread is not NO_THREAD:
            action = _first_match(self._postcontent, facts, candidates)
        if action is None:
            action = self._rooms.get(facts.room_id)
        if action is None:
            action = self._senders.get(facts.sender)
        if action is None:
            action = _first_match(underride, facts, candidates)
        return Decision(facts, tuple(candidates), action or NOTHING)

    def _plan(self, event_type: str) -> tuple[tuple[CompiledRule, ...], tuple[CompiledRule, ...]]:
        plan = self._plans.get(event_type)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            lowered = event_type.lower()
            plan = self._plans[event_type] = (_of_type(self._override, lowered), _of_type(self._underride, lowered))
        return plan

    def _match_content(self, facts: EventFacts) -> Action | None:
        if not (self._words or self._content) or facts.body is None:
            return None
        found = [self._words[word] for word in facts.body_words & self._words.keys()] if self._words else []
        best = min(found, key=_order, default=None)
        for order, condition, action in self._content:
            if best is not None and best[0] < order:
                break
            if condition.holds(facts):
                best = (order, action)
                break
        return None if best is None else best[1]


def compile_ruleset(ruleset: Ruleset) -> Evaluator:
    """Compile all enabled rules of a ruleset."""
    return Evaluator(ruleset)


def _order(entry: tuple[int, Action]) -> int:
    return entry[0]


def _of_type(rules: tuple[CompiledRule, ...], event_type: str) -> tuple[CompiledRule, ...]:
    return tuple(rule for rule in rules if rule.event_type is None or rule.event_type == event_type)


def _first_match(rules: tuple[CompiledRule, ...], facts: EventFacts, candidates: list[Candidates]) -> Action | None:
    """The action of the first rule that holds for everybody; those before it that hold for some go to `candidates`."""
    for rule in rules:
        if not rule.holds_for_event(facts):
            continue
        if rule.is_general():
            return rule.action
        some = rule.candidates(facts)
        if some is not None:
            candidates.append(some)
    return None


def _actions_by_id(rules: Iterable[PushRule]) -> dict[str, Action]:
    """Room and sender rules: the rule id is the whole condition."""
    return {rule.rule_id: compile_actions(rule.actions) for rule in rules if rule.enabled}


def _compile_rules(rules: Iterable[PushRule]) -> tuple[CompiledRule, ...]:
    compiled = (_COMPILED_DEFAULTS.get(rule) or _compile_rule(rule) for rule in rules if rule.enabled)
    return tuple(rule for rule in compiled if rule is not None)


def _compile_rule(rule: PushRule) -> CompiledRule | None:
    """None where one of the conditions can never hold."""
    conditions: list[Condition] = []
    for condition in rule.conditions:
        compiled = compile_condition(condition)
        if compiled is None:
            return None
        conditions.append(compiled)
    on_event = tuple(condition for condition in conditions if isinstance(condition, EventCondition))
    types = {condition.event_type for condition in on_event if condition.event_type is not None}
    return CompiledRule(
        on_event,
        tuple(condition for condition in conditions if isinstance(condition, NamedReaders)),
        tuple(condition for condition in conditions if isinstance(condition, ReaderCondition)),
        compile_actions(rule.actions),
        next(iter(types), None),
    )


# Nearly everybody has nearly all default rules: these are compiled once for all rulesets that contain them unchanged.
_COMPILED_DEFAULTS: Final[dict[PushRule, CompiledRule | None]] = {rule: _compile_rule(rule) for rule in DEFAULT_RULESET}

DEFAULT_EVALUATOR: Final = Evaluator(DEFAULT_RULESET)
"""For everybody who never touched his push rules."""
