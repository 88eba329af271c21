"""Checks of what clients send: rule ids, actions, conditions, patterns, and how much one user may have of them.

The limits keep the work for one event bounded whatever its readers configured: a pattern that is one plain word costs
a look into a set, any other has to be searched for in the text, so there are few of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from homeserver.protocol import errors
from homeserver.protocol.identifiers import utf8_length
from homeserver.protocol.push_rules.customisation import Customisation
from homeserver.protocol.push_rules.globs import MAX_PATTERN_LENGTH, as_word, has_wildcards
from homeserver.protocol.push_rules.paths import MAX_PATH_LENGTH
from homeserver.protocol.push_rules.rules import (
    HISTORICAL_ACTIONS,
    KINDS,
    KINDS_WITH_CONDITIONS,
    POSTCONTENT,
    JsonAction,
    JsonCondition,
    PushRule,
)

MAX_RULE_ID_BYTES: Final = 255
MAX_RULES: Final = 2000
MAX_ACTIONS: Final = 16
MAX_CONDITIONS: Final = 32
MAX_CONDITIONS_IN_ALL: Final = 4000
MAX_SEARCHED_PATTERNS: Final = 100
MAX_QUESTIONED_CHARACTERS: Final = 1000
"""Of all patterns with a question mark together: these are compared at every place of a text, character by character."""
# Neither the database nor JSON has a place for them.
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def check_kind(kind: str) -> str:
    """One of the kinds of rule. Raises InvalidParam."""
    if kind not in KINDS:
        raise errors.InvalidParam(f"'{kind}' is no kind of push rule: use one of {', '.join(KINDS)}")
    return kind


def check_rule(
    kind: str, rule_id: str, actions: list[Any], conditions: list[Any] | None, pattern: str | None
) -> PushRule:
    """The user's own rule as a value. Raises InvalidParam or MissingParam naming what is wrong."""
    check_rule_id(rule_id)
    if kind == POSTCONTENT:
        raise errors.InvalidParam(f"Rules of kind '{POSTCONTENT}' can be changed, but not added")
    checked = check_actions(actions)
    if check_kind(kind) in KINDS_WITH_CONDITIONS:
        # The spec leaves `conditions` out of the required fields; but a forgotten list would match every event, and
        # the other homeservers (and sytest) insist on it.
        if conditions is None:
            raise errors.MissingParam(f"A rule of kind '{kind}' needs 'conditions'; use [] to match every event")
        return PushRule(kind, rule_id, checked, check_conditions(conditions))
    if kind == "content":
        if pattern is None:
            raise errors.MissingParam("A rule of kind 'content' needs a 'pattern'")
        return PushRule(kind, rule_id, checked, pattern=check_pattern(pattern))
    return PushRule(kind, rule_id, checked)


def check_rule_id(rule_id: str) -> None:
    """Ids with a leading dot belong to the server; slashes and backslashes are not allowed in any."""
    if not rule_id:
        raise errors.InvalidParam("The rule id is empty")
    if rule_id.startswith("."):
        raise errors.InvalidParam("Rule ids that start with '.' are reserved for server-default rules")
    if "/" in rule_id or "\\" in rule_id:
        raise errors.InvalidParam("Rule ids may not contain slashes or backslashes")
    if utf8_length(rule_id) > MAX_RULE_ID_BYTES:
        raise errors.InvalidParam(f"The rule id is longer than {MAX_RULE_ID_BYTES} bytes")
    if _NOT_STORABLE.search(rule_id):
        raise errors.InvalidParam("The rule id contains a character that is not allowed")


def check_actions(actions: list[Any]) -> tuple[JsonAction, ...]:
    """Historical actions stay where clients wrote them, but mean nothing. Raises InvalidParam."""
    if len(actions) > MAX_ACTIONS:
        raise errors.InvalidParam(f"A push rule has at most {MAX_ACTIONS} actions")
    for action in actions:
        if isinstance(action, str):
            if action != "notify" and action not in HISTORICAL_ACTIONS:
                raise errors.InvalidParam(f"Unrecognised action '{action[:50]}'")
        elif not isinstance(action, dict) or not isinstance(action.get("set_tweak"), str):
            raise errors.InvalidParam("An action is 'notify' or an object with 'set_tweak'")
    return tuple(actions)


def check_conditions(conditions: list[Any]) -> tuple[JsonCondition, ...]:
    """Unknown kinds of condition are kept (they never match); parameters have to be of a sensible size."""
    if len(conditions) > MAX_CONDITIONS:
        raise errors.InvalidParam(f"A push rule has at most {MAX_CONDITIONS} conditions")
    for condition in conditions:
        if not isinstance(condition, dict) or not isinstance(condition.get("kind"), str):
            raise errors.InvalidParam("Every condition is an object with a 'kind'")
        if isinstance(condition.get("pattern"), str):
            check_pattern(condition["pattern"])
        if isinstance(condition.get("key"), str) and len(condition["key"]) > MAX_PATH_LENGTH:
            raise errors.InvalidParam(f"The 'key' of a condition is longer than {MAX_PATH_LENGTH} characters")
    return tuple(conditions)


def check_pattern(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise errors.InvalidParam(f"A pattern is at most {MAX_PATTERN_LENGTH} characters long")
    return pattern


def check_limits(customisation: Customisation) -> None:
    """How much one user may have. Raises InvalidParam."""
    rules = [rule for kind in customisation.rules.values() for rule in kind]
    if len(rules) > MAX_RULES:
        raise errors.InvalidParam(f"A user has at most {MAX_RULES} push rules")
    if sum(len(rule.conditions) for rule in rules) > MAX_CONDITIONS_IN_ALL:
        raise errors.InvalidParam(f"The push rules of a user have at most {MAX_CONDITIONS_IN_ALL} conditions in all")
    if sum(_searched_patterns(rule) for rule in rules) > MAX_SEARCHED_PATTERNS:
        raise errors.InvalidParam(
            f"The push rules of a user have at most {MAX_SEARCHED_PATTERNS} patterns that are more than one plain word"
        )

    if sum(map(_questioned_characters, rules)) > MAX_QUESTIONED_CHARACTERS:
        raise errors.InvalidParam(
            f"The patterns with '?' of a user have at most {MAX_QUESTIONED_CHARACTERS} characters in all"
        )


def _questioned_characters(rule: PushRule) -> int:
    patterns = [rule.pattern, *(condition.get("pattern") for condition in rule.conditions)]
    return sum(len(pattern) for pattern in patterns if isinstance(pattern, str) and "?" in pattern)


def _searched_patterns(rule: PushRule) -> int:
    searched = sum(_is_searched(condition) for condition in rule.conditions)
    return searched + (rule.pattern is not None and as_word(rule.pattern) is None)


def _is_searched(condition: Mapping[str, Any]) -> bool:
    pattern = condition.get("pattern")
    if not isinstance(pattern, str):
        return False
    # Patterns on other keys than the body have to match all of it: without wildcards that is one comparison.
    return as_word(pattern) is None if condition.get("key") == "content.body" else has_wildcards(pattern)
