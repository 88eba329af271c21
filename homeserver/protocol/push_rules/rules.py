"""Push rules as values, the server-default ones among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

# In the order in which they are checked.
KINDS: Final = ("override", "content", "postcontent", "room", "sender", "underride")
KINDS_WITH_CONDITIONS: Final = frozenset({"override", "postcontent", "underride"})
POSTCONTENT: Final = "postcontent"
"""Rules for threads, behind those for mentions and words and before those for rooms (MSC4306). Users have none of their own."""
# "Clients and homeservers MUST ignore these actions"
HISTORICAL_ACTIONS: Final = frozenset({"dont_notify", "coalesce"})
MASTER: Final = ".m.rule.master"

# Stands for the reader's user id in server-default rules, so that one ruleset serves everybody.
OWN_USER_ID: Final = "\0own user id"

JsonAction: TypeAlias = str | dict[str, Any]
JsonCondition: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class PushRule:
    """One rule. `conditions` only for override and underride, `pattern` only for content."""

    kind: str
    rule_id: str
    actions: tuple[JsonAction, ...]
    conditions: tuple[JsonCondition, ...] = ()
    pattern: str | None = None
    enabled: bool = True
    default: bool = False

    def with_enabled(self, enabled: bool) -> PushRule:
        return self if enabled == self.enabled else replace(self, enabled=enabled)

    def with_actions(self, actions: tuple[JsonAction, ...]) -> PushRule:
        return self if actions == self.actions else replace(self, actions=actions)

    def to_client(self, user_id: str) -> dict[str, Any]:
        """The rule as the client-server API shows it (definition "PushRule")."""
        rule: dict[str, Any] = {
            "rule_id": self.rule_id,
            "default": self.default,
            "enabled": self.enabled,
            "actions": list(self.actions),
        }
        if self.kind in KINDS_WITH_CONDITIONS:
            rule["conditions"] = [_personal(condition, user_id) for condition in self.conditions]
        if self.pattern is not None:
            rule["pattern"] = self.pattern
        return rule


def _personal(condition: JsonCondition, user_id: str) -> JsonCondition:
    if OWN_USER_ID not in condition.values():
        return condition
    return {key: user_id if value == OWN_USER_ID else value for key, value in condition.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Ruleset:
    """All rules of one user in the order in which they are checked, by kind."""

    by_kind: Mapping[str, tuple[PushRule, ...]]

    def __iter__(self) -> Iterator[PushRule]:
        for kind in KINDS:
            yield from self.by_kind[kind]

    def find(self, kind: str, rule_id: str) -> PushRule | None:
        """The rule of this kind and id."""
        for rule in self.by_kind.get(kind, ()):
            if rule.rule_id == rule_id:
                return rule
        return None

    def to_client(self, user_id: str) -> dict[str, Any]:
        """The ruleset as the client-server API shows it (definition "Ruleset")."""
        return {kind: [rule.to_client(user_id) for rule in self.by_kind[kind]] for kind in KINDS}
