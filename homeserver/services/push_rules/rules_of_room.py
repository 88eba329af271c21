"""Leaves out of a customisation what can match no event of a given room."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.push_rules import Customisation, PushRule
from homeserver.protocol.push_rules.globs import has_wildcards


def rules_of_room(customisation: Customisation, room_id: str) -> Customisation:
    """The customisation without disabled rules and rules about other rooms."""
    lowered = room_id.lower()
    kept = {
        kind: tuple(rule for rule in rules if rule.enabled and not _is_about_another_room(rule, room_id, lowered))
        for kind, rules in customisation.rules.items()
    }
    return Customisation(
        {kind: rules for kind, rules in kept.items() if rules}, customisation.enabled, customisation.actions
    )


def _is_about_another_room(rule: PushRule, room_id: str, lowered: str) -> bool:
    if rule.kind == "room":
        return rule.rule_id != room_id
    return any(_names_another_room(condition, lowered) for condition in rule.conditions)


def _names_another_room(condition: dict[str, Any], lowered: str) -> bool:
    """`event_match` is not case-sensitive."""
    pattern = condition.get("pattern")
    return (
        condition.get("kind") == "event_match"
        and condition.get("key") == "room_id"
        and isinstance(pattern, str)
        and not has_wildcards(pattern)
        and pattern.lower() != lowered
    )
