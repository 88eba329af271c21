"""In a room count only the rules that can match there; equal rules are compiled once."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.push_rules import NO_CUSTOMISATION, Customisation, PushRule
from homeserver.protocol.push_rules.customisation import put_rule, set_actions
from homeserver.services.push_rules.rulesets import DEFAULT_COMPILED, Compiler, ReaderRules


def _with(*rules: PushRule, base: Customisation = NO_CUSTOMISATION) -> Customisation:
    for rule in rules:
        base = put_rule(base, rule)
    return base


def _override(rule_id: str, *conditions: dict[str, Any], enabled: bool = True) -> PushRule:
    return PushRule("override", rule_id, (), conditions, enabled=enabled)


def _room_is(pattern: str) -> dict[str, Any]:
    return {"kind": "event_match", "key": "room_id", "pattern": pattern}


async def test_a_room_muted_by_alice_is_like_any_other_to_bob() -> None:
    compiler = Compiler()
    alice = ReaderRules(_with(_override("mute", _room_is("!muted:Test")), PushRule("room", "!also:test", ())), compiler)
    assert alice.in_room("!other:test") is DEFAULT_COMPILED
    assert alice.in_room("!muted:test") is not DEFAULT_COMPILED  # event_match is not case-sensitive
    assert alice.in_room("!also:test") is not DEFAULT_COMPILED


async def test_people_with_the_same_choices_share_one_compiled_ruleset() -> None:
    compiler = Compiler()
    quiet = set_actions(NO_CUSTOMISATION, "underride", ".m.rule.message", ())
    alice = ReaderRules(_with(PushRule("room", "!one:test", ()), base=quiet), compiler)
    bob = ReaderRules(_with(PushRule("room", "!two:test", ()), base=quiet), compiler)
    assert alice.in_room("!three:test") is bob.in_room("!three:test") is not DEFAULT_COMPILED
    assert alice.in_room("!one:test") is not bob.in_room("!one:test")


async def test_rules_that_may_match_anywhere_stay() -> None:
    compiler = Compiler()
    for rule in (
        _override("wild", _room_is("!*:test")),
        _override("other", {"kind": "event_match", "key": "content.body", "pattern": "!muted:test"}),
        _override("always"),
        PushRule("sender", "@bob:test", ()),
        PushRule("content", "cake", ("notify",), pattern="cake"),
    ):
        assert ReaderRules(_with(rule), compiler).in_room("!other:test") is not DEFAULT_COMPILED
    disabled = ReaderRules(_with(_override("always", enabled=False)), compiler)
    assert disabled.in_room("!other:test") is DEFAULT_COMPILED
