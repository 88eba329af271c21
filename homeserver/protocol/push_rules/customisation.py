"""What a user changed about his push rules, and how that and the server-default rules make his ruleset.

Only the changes are stored, so that a new version of the server-default rules reaches everybody at once.
All functions are pure: they give a new `Customisation` or raise the error the API answers with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from homeserver.protocol import errors
from homeserver.protocol.push_rules.default_rules import DEFAULT_RULESET
from homeserver.protocol.push_rules.rules import KINDS, KINDS_WITH_CONDITIONS, MASTER, JsonAction, PushRule, Ruleset

RuleKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Customisation:
    """`rules`: the user's own rules by kind, most important first.

    `enabled`, `actions`: of server-default rules, where they differ from the default.
    """

    rules: Mapping[str, tuple[PushRule, ...]] = field(default_factory=dict)
    enabled: Mapping[RuleKey, bool] = field(default_factory=dict)
    actions: Mapping[RuleKey, tuple[JsonAction, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(any(self.rules.values()) or self.enabled or self.actions)


NO_CUSTOMISATION: Final = Customisation()


def effective_ruleset(customisation: Customisation) -> Ruleset:
    """The user's rules before the default ones of each kind, but `.m.rule.master` before everything."""
    if not customisation:
        return DEFAULT_RULESET
    by_kind = {}
    for kind in KINDS:
        defaults = tuple(_customised(rule, customisation) for rule in DEFAULT_RULESET.by_kind[kind])
        first = tuple(rule for rule in defaults if rule.rule_id == MASTER)
        by_kind[kind] = first + customisation.rules.get(kind, ()) + defaults[len(first) :]
    return Ruleset(by_kind)


def _customised(rule: PushRule, customisation: Customisation) -> PushRule:
    key = (rule.kind, rule.rule_id)
    return rule.with_enabled(customisation.enabled.get(key, rule.enabled)).with_actions(
        customisation.actions.get(key, rule.actions)
    )


def find_rule(customisation: Customisation, kind: str, rule_id: str) -> PushRule:
    """The rule as it is in effect. Raises NotFound."""
    default = DEFAULT_RULESET.find(kind, rule_id)
    if default is not None:
        return _customised(default, customisation)
    return _own_rule(customisation, kind, rule_id)


def put_rule(
    customisation: Customisation, rule: PushRule, *, before: str | None = None, after: str | None = None
) -> Customisation:
    """Add one of the user's own rules or replace it.

    `before` wins over `after`; without either a new rule becomes the most important one and a known rule stays where
    it is. A known rule also stays enabled or disabled. Raises Unknown where `before` or `after` is no rule of the user.
    """
    rules = list(customisation.rules.get(rule.kind, ()))
    place = next((index for index, other in enumerate(rules) if other.rule_id == rule.rule_id), None)
    if place is not None:
        rule = rule.with_enabled(rules[place].enabled)
    if before is None and after is None:
        if place is None:
            rules.insert(0, rule)
        else:
            rules[place] = rule
        return _with_rules(customisation, rule.kind, rules)
    # A rule may be moved relative to itself: it stays.
    if (before if before is not None else after) == rule.rule_id and place is not None:
        rules[place] = rule
        return _with_rules(customisation, rule.kind, rules)
    rules = [other for other in rules if other.rule_id != rule.rule_id]
    rules.insert(_place_relative_to(rules, before, after), rule)
    return _with_rules(customisation, rule.kind, rules)


def _place_relative_to(rules: list[PushRule], before: str | None, after: str | None) -> int:
    wanted = before if before is not None else after
    for index, rule in enumerate(rules):
        if rule.rule_id == wanted:
            return index if before is not None else index + 1
    raise errors.Unknown(f"before/after rule not found: {wanted}")


def delete_rule(customisation: Customisation, kind: str, rule_id: str) -> Customisation:
    """Take one of the user's own rules away. Raises NotFound, also for server-default rules (these can be disabled)."""
    gone = _own_rule(customisation, kind, rule_id)
    return _with_rules(customisation, kind, [rule for rule in customisation.rules[kind] if rule is not gone])


def set_enabled(customisation: Customisation, kind: str, rule_id: str, enabled: bool) -> Customisation:
    """Enable or disable any rule. Raises NotFound."""
    default = DEFAULT_RULESET.find(kind, rule_id)
    if default is None:
        old = _own_rule(customisation, kind, rule_id)
        return _with_rule_replaced(customisation, old, old.with_enabled(enabled))
    values = {key: value for key, value in customisation.enabled.items() if key != (kind, rule_id)}
    if enabled != default.enabled:
        values[kind, rule_id] = enabled
    return replace(customisation, enabled=values)


def set_actions(
    customisation: Customisation, kind: str, rule_id: str, actions: tuple[JsonAction, ...]
) -> Customisation:
    """Change the actions of any rule. Raises NotFound."""
    default = DEFAULT_RULESET.find(kind, rule_id)
    if default is None:
        old = _own_rule(customisation, kind, rule_id)
        return _with_rule_replaced(customisation, old, old.with_actions(actions))
    values = {key: value for key, value in customisation.actions.items() if key != (kind, rule_id)}
    if actions != default.actions:
        values[kind, rule_id] = actions
    return replace(customisation, actions=values)


def _own_rule(customisation: Customisation, kind: str, rule_id: str) -> PushRule:
    for rule in customisation.rules.get(kind, ()):
        if rule.rule_id == rule_id:
            return rule
    raise errors.NotFound(f"There is no push rule {kind}/{rule_id}")


def _with_rule_replaced(customisation: Customisation, old: PushRule, new: PushRule) -> Customisation:
    rules = [new if rule is old else rule for rule in customisation.rules[old.kind]]
    return _with_rules(customisation, old.kind, rules)


def _with_rules(customisation: Customisation, kind: str, rules: Iterable[PushRule]) -> Customisation:
    return replace(customisation, rules={**customisation.rules, kind: tuple(rules)})


# --- As it is stored ------------------------------------------------------------------------------------------------


def to_json(customisation: Customisation) -> dict[str, Any]:
    """The changes as a JSON object; `from_json` takes it back."""
    rules_by_kind = customisation.rules.items()
    return {
        "rules": {kind: [_rule_to_json(rule) for rule in rules] for kind, rules in rules_by_kind if rules},
        "enabled": [[*key, value] for key, value in customisation.enabled.items()],
        "actions": [[*key, list(value)] for key, value in customisation.actions.items()],
    }


def from_json(stored: Mapping[str, Any]) -> Customisation:
    """Changes to default rules that no longer exist are dropped."""
    enabled, actions = stored["enabled"], stored["actions"]
    return Customisation(
        rules={kind: tuple(_rule_from_json(kind, rule) for rule in rules) for kind, rules in stored["rules"].items()},
        enabled={(kind, rule_id): value for kind, rule_id, value in enabled if _is_default(kind, rule_id)},
        actions={(kind, rule_id): tuple(value) for kind, rule_id, value in actions if _is_default(kind, rule_id)},
    )


def _is_default(kind: str, rule_id: str) -> bool:
    return DEFAULT_RULESET.find(kind, rule_id) is not None


def _rule_to_json(rule: PushRule) -> dict[str, Any]:
    stored: dict[str, Any] = {"rule_id": rule.rule_id, "actions": list(rule.actions), "enabled": rule.enabled}
    if rule.kind in KINDS_WITH_CONDITIONS:
        stored["conditions"] = list(rule.conditions)
    if rule.pattern is not None:
        stored["pattern"] = rule.pattern
    return stored


def _rule_from_json(kind: str, stored: Mapping[str, Any]) -> PushRule:
    return PushRule(
        kind,
        stored["rule_id"],
        tuple(stored["actions"]),
        tuple(stored.get("conditions", ())),
        stored.get("pattern"),
        stored["enabled"],
    )
