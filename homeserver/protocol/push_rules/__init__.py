"""Push rules (client-server API, "Push Notifications"): pure, and compiled for fan-out. See README.md."""

from homeserver.protocol.push_rules.customisation import NO_CUSTOMISATION, Customisation, effective_ruleset
from homeserver.protocol.push_rules.default_rules import DEFAULT_RULESET
from homeserver.protocol.push_rules.evaluator import (
    DEFAULT_EVALUATOR,
    NOTHING,
    Action,
    Decision,
    Evaluator,
    compile_ruleset,
)
from homeserver.protocol.push_rules.facts import EventFacts, ReaderFacts, RoomFacts
from homeserver.protocol.push_rules.rules import KINDS, PushRule, Ruleset

__all__ = [
    "DEFAULT_EVALUATOR",
    "DEFAULT_RULESET",
    "KINDS",
    "NOTHING",
    "NO_CUSTOMISATION",
    "Action",
    "Customisation",
    "Decision",
    "Evaluator",
    "EventFacts",
    "PushRule",
    "ReaderFacts",
    "RoomFacts",
    "Ruleset",
    "compile_ruleset",
    "effective_ruleset",
]
