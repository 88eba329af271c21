"""What Bob changes about his push rules: adding, moving, disabling, taking away; and what he may not."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol import errors
from homeserver.protocol.push_rules import (
    DEFAULT_EVALUATOR,
    DEFAULT_RULESET,
    NO_CUSTOMISATION,
    Customisation,
    EventFacts,
    PushRule,
    ReaderFacts,
    RoomFacts,
    compile_ruleset,
    effective_ruleset,
)
from homeserver.protocol.push_rules.checks import (
    MAX_ACTIONS,
    MAX_CONDITIONS,
    MAX_RULES,
    MAX_SEARCHED_PATTERNS,
    check_actions,
    check_kind,
    check_limits,
    check_rule,
)
from homeserver.protocol.push_rules.customisation import (
    delete_rule,
    find_rule,
    from_json,
    put_rule,
    set_actions,
    set_enabled,
    to_json,
)
from tests.protocol.factory import ALICE, BOB, CHARLIE

BEEP = {"set_tweak": "sound", "value": "beep.wav"}


def rule(rule_id: str, kind: str = "content", *actions: Any, pattern: str | None = None) -> PushRule:
    conditions = () if kind in ("override", "underride") else None
    return PushRule(kind, rule_id, actions or ("notify",), conditions or (), pattern)


def ids(customisation: Customisation, kind: str = "content") -> list[str]:
    return [rule.rule_id for rule in customisation.rules.get(kind, ())]


@pytest.fixture
def abc() -> Customisation:
    """Three content rules, a before b before c."""
    customisation = NO_CUSTOMISATION
    for name in "cba":
        customisation = put_rule(customisation, rule(name, pattern=name))
    assert ids(customisation) == ["a", "b", "c"]
    return customisation


# --- Order --------------------------------------------------------------------------------------------------------


def test_a_new_rule_is_the_most_important(abc: Customisation) -> None:
    assert ids(put_rule(abc, rule("new"))) == ["new", "a", "b", "c"]


def test_a_known_rule_stays_where_it_is(abc: Customisation) -> None:
    changed = put_rule(abc, rule("b", pattern="changed"))
    assert ids(changed) == ["a", "b", "c"]
    assert find_rule(changed, "content", "b").pattern == "changed"


@pytest.mark.parametrize(
    ("name", "place", "order"),
    [
        ("new", {"before": "b"}, ["a", "new", "b", "c"]),
        ("new", {"after": "b"}, ["a", "b", "new", "c"]),
        ("new", {"before": "a", "after": "c"}, ["new", "a", "b", "c"]),
        ("c", {"before": "a"}, ["c", "a", "b"]),
        ("a", {"after": "c"}, ["b", "c", "a"]),
        ("b", {"before": "b"}, ["a", "b", "c"]),
        ("b", {"after": "b"}, ["a", "b", "c"]),
        ("b", {"after": "a"}, ["a", "b", "c"]),
    ],
)
def test_rules_are_placed_relative_to_others(
    abc: Customisation, name: str, place: dict[str, str], order: list[str]
) -> None:
    changed = put_rule(abc, rule(name, pattern="x"), **place)
    assert ids(changed) == order
    assert find_rule(changed, "content", name).pattern == "x"
    assert ids(abc) == ["a", "b", "c"], "a customisation is a value"


@pytest.mark.parametrize("place", [{"before": "z"}, {"after": "z"}, {"before": ".m.rule.master"}, {"after": "new"}])
def test_relative_to_nothing_is_an_error(abc: Customisation, place: dict[str, str]) -> None:
    with pytest.raises(errors.Unknown):
        put_rule(abc, rule("new"), **place)


def test_relative_to_a_rule_of_another_kind_is_an_error(abc: Customisation) -> None:
    with pytest.raises(errors.Unknown):
        put_rule(abc, rule("!r:a", "room"), before="a")


# --- Enabling, actions, deleting ----------------------------------------------------------------------------------


def test_own_rules_are_disabled_and_stay_so_when_put_again(abc: Customisation) -> None:
    disabled = set_enabled(abc, "content", "b", False)
    assert not find_rule(disabled, "content", "b").enabled
    assert not find_rule(put_rule(disabled, rule("b", pattern="x")), "content", "b").enabled
    assert find_rule(set_enabled(disabled, "content", "b", True), "content", "b").enabled


def test_default_rules_are_changed_and_changed_back() -> None:
    changed = set_enabled(NO_CUSTOMISATION, "underride", ".m.rule.message", False)
    changed = set_actions(changed, "underride", ".m.rule.message", ("notify", BEEP))
    shown = find_rule(changed, "underride", ".m.rule.message")
    assert (shown.enabled, shown.actions, shown.default) == (False, ("notify", BEEP), True)
    back = set_enabled(changed, "underride", ".m.rule.message", True)
    back = set_actions(back, "underride", ".m.rule.message", ("notify",))
    assert not back, "nothing differs from the defaults any more"
    assert effective_ruleset(back) is DEFAULT_RULESET


def test_own_rules_get_new_actions(abc: Customisation) -> None:
    changed = set_actions(abc, "content", "b", ("notify", BEEP))
    assert find_rule(changed, "content", "b").actions == ("notify", BEEP)
    assert ids(changed) == ["a", "b", "c"]


def test_rules_are_deleted_but_default_ones_are_not(abc: Customisation) -> None:
    assert ids(delete_rule(abc, "content", "b")) == ["a", "c"]
    for kind, rule_id in (("content", "z"), ("override", ".m.rule.master"), ("override", "a")):
        with pytest.raises(errors.NotFound):
            delete_rule(abc, kind, rule_id)


@pytest.mark.parametrize("change", [lambda *key: set_enabled(*key, True), lambda *key: set_actions(*key, ())])
def test_what_is_not_there_cannot_be_changed(abc: Customisation, change: Any) -> None:
    for kind, rule_id in (("content", "z"), ("underride", ".m.rule.master"), ("room", "a")):
        with pytest.raises(errors.NotFound):
            change(abc, kind, rule_id)
        with pytest.raises(errors.NotFound):
            find_rule(abc, kind, rule_id)


# --- The whole ruleset --------------------------------------------------------------------------------------------


def test_own_rules_come_before_the_default_ones_but_after_master() -> None:
    changed = put_rule(NO_CUSTOMISATION, rule("mine", "override"))
    assert [rule.rule_id for rule in effective_ruleset(changed).by_kind["override"]][:3] == [
        ".m.rule.master",
        "mine",
        ".org.matrix.msc4028.encrypted_event",
    ]


def notified(customisation: Customisation, *, sender: str = ALICE, room_id: str = "!r:a", **content: Any) -> Any:
    """Sound (or whether at all) for Bob when a message comes."""
    fields = {"type": "m.room.message", "sender": sender, "room_id": room_id, "content": {"body": "hi", **content}}
    evaluator = compile_ruleset(effective_ruleset(customisation))
    action = evaluator.decide(EventFacts(fields, RoomFacts(9))).for_reader(ReaderFacts(BOB, "Bob"))
    return action.sound or action.notify


def test_master_silences_everything() -> None:
    changed = put_rule(NO_CUSTOMISATION, rule("mine", "override"))
    assert notified(changed)
    assert not notified(set_enabled(changed, "override", ".m.rule.master", True))


def test_kinds_are_asked_in_their_order() -> None:
    rules = [
        ("underride", "u"),
        ("sender", ALICE),
        ("room", "!r:a"),
        ("content", "c"),
        ("override", "o"),
    ]
    changed = NO_CUSTOMISATION
    for kind, rule_id in rules:
        sound = {"set_tweak": "sound", "value": kind}
        pattern = "hi" if kind == "content" else None
        changed = put_rule(changed, rule(rule_id, kind, "notify", sound, pattern=pattern))
        assert notified(changed) == kind
    for kind, rule_id in reversed(rules):
        assert notified(changed) == kind
        changed = set_enabled(changed, kind, rule_id, False)
    assert notified(changed) is True


def test_rooms_and_senders_are_muted() -> None:
    muted_room = put_rule(NO_CUSTOMISATION, PushRule("room", "!r:a", ()))
    assert not notified(muted_room)
    assert notified(muted_room, room_id="!other:a")
    muted_sender = put_rule(NO_CUSTOMISATION, PushRule("sender", ALICE, ()))
    assert not notified(muted_sender)
    assert notified(muted_sender, sender=CHARLIE)


def test_a_mention_reaches_bob_even_in_a_muted_room() -> None:
    muted = put_rule(NO_CUSTOMISATION, PushRule("room", "!r:a", ()))
    assert notified(muted, **{"m.mentions": {"user_ids": [BOB]}}) == "default"


def test_of_content_rules_the_most_important_that_matches_decides() -> None:
    changed = NO_CUSTOMISATION
    for rule_id, pattern in (("word", "tea"), ("glob", "ti?e"), ("last", "for")):
        sound = {"set_tweak": "sound", "value": rule_id}
        changed = put_rule(changed, rule(rule_id, "content", "notify", sound, pattern=pattern))
    assert notified(changed, body="It's time for tea") == "last"
    assert notified(changed, body="It's time, tea") == "glob"
    changed = put_rule(changed, find_rule(changed, "content", "word"), before="last")
    assert notified(changed, body="It's time for tea") == "word"
    assert notified(changed, body="nothing of it") is True


def test_a_rule_with_an_unknown_condition_is_as_good_as_disabled() -> None:
    unknown = PushRule("override", "o", (), ({"kind": "org.example"},))
    assert notified(put_rule(NO_CUSTOMISATION, unknown))


def test_a_highlight_may_be_switched_off() -> None:
    changed = NO_CUSTOMISATION
    for value, highlight in ((True, True), (False, False), ("x", True)):
        tweak = {"set_tweak": "highlight", "value": value}
        changed = put_rule(changed, rule("o", "override", "notify", tweak))
        fields = {"type": "x", "sender": ALICE, "room_id": "!r:a", "content": {}}
        evaluator = compile_ruleset(effective_ruleset(changed))
        action = evaluator.decide(EventFacts(fields, RoomFacts(9))).for_reader(ReaderFacts(BOB))
        assert action.highlight is highlight


def test_tweaks_without_notify_do_nothing() -> None:
    changed = put_rule(NO_CUSTOMISATION, rule("o", "override", BEEP))
    assert notified(changed) is False


def test_display_names_are_asked_of_each_reader() -> None:
    condition = {"kind": "contains_display_name"}
    changed = put_rule(NO_CUSTOMISATION, PushRule("override", "name", ("notify", BEEP), (condition,)))
    assert notified(changed, body="hello Bob") == "beep.wav"
    fields = {"type": "m.room.message", "sender": ALICE, "room_id": "!r:a", "content": {"body": "x"}}
    assert compile_ruleset(effective_ruleset(changed)).decide(EventFacts(fields, RoomFacts(9))).named is None


def test_who_changed_nothing_shares_the_default_evaluator() -> None:
    assert effective_ruleset(NO_CUSTOMISATION) is DEFAULT_RULESET
    assert DEFAULT_EVALUATOR is not compile_ruleset(DEFAULT_RULESET)


# --- Stored -------------------------------------------------------------------------------------------------------


def test_a_customisation_is_stored_and_read_back(abc: Customisation) -> None:
    changed = set_enabled(abc, "content", "b", False)
    changed = put_rule(changed, PushRule("override", "o", ("notify", BEEP), ({"kind": "event_match"},)))
    changed = put_rule(changed, PushRule("room", "!r:a", ()))
    changed = set_enabled(changed, "override", ".m.rule.master", True)
    changed = set_actions(changed, "underride", ".m.rule.message", ())
    again = from_json(to_json(changed))
    assert effective_ruleset(again).to_client(BOB) == effective_ruleset(changed).to_client(BOB)


def test_changes_of_rules_that_no_longer_exist_are_dropped() -> None:
    stored = {
        "rules": {},
        "enabled": [["override", ".m.rule.gone", False]],
        "actions": [["override", ".m.rule.gone", []]],
    }
    assert not from_json(stored)


# --- What clients may send ----------------------------------------------------------------------------------------


def test_good_rules() -> None:
    assert check_rule("content", "cake", ["notify", BEEP], None, "c*ke").pattern == "c*ke"
    assert check_rule("override", "o", [], [{"kind": "org.example"}], None).conditions == ({"kind": "org.example"},)
    assert check_rule("room", "!r:a", ["dont_notify", "coalesce"], None, None).actions == ("dont_notify", "coalesce")


@pytest.mark.parametrize(
    ("kind", "rule_id", "actions", "conditions", "pattern", "error"),
    [
        ("nonsense", "x", [], [], None, errors.InvalidParam),
        ("content", "", [], None, "x", errors.InvalidParam),
        ("content", ".mine", [], None, "x", errors.InvalidParam),
        ("content", "a/b", [], None, "x", errors.InvalidParam),
        ("content", "a\\b", [], None, "x", errors.InvalidParam),
        ("content", "ü" * 128, [], None, "x", errors.InvalidParam),
        ("content", "x", [], None, None, errors.MissingParam),
        ("content", "x", [], None, "x" * 256, errors.InvalidParam),
        ("override", "x", [], None, None, errors.MissingParam),
        ("underride", "x", [], [5], None, errors.InvalidParam),
        ("override", "x", [], [{}], None, errors.InvalidParam),
        ("override", "x", [], [{"kind": "event_match", "pattern": "x" * 256}], None, errors.InvalidParam),
        ("override", "x", [], [{"kind": "event_match", "key": "x" * 256}], None, errors.InvalidParam),
        ("override", "x", [], [{"kind": "x"}] * (MAX_CONDITIONS + 1), None, errors.InvalidParam),
        ("room", "!r:a", ["shout"], None, None, errors.InvalidParam),
        ("room", "!r:a", [5], None, None, errors.InvalidParam),
        ("room", "!r:a", [{"set_tweak": 5}], None, None, errors.InvalidParam),
        ("room", "!r:a", ["notify"] * (MAX_ACTIONS + 1), None, None, errors.InvalidParam),
    ],
)
def test_bad_rules_are_named(
    kind: str, rule_id: str, actions: list[Any], conditions: Any, pattern: Any, error: type[errors.MatrixError]
) -> None:
    with pytest.raises(error):
        check_rule(kind, rule_id, actions, conditions, pattern)


def test_a_rule_id_that_is_no_unicode_is_refused_like_any_other() -> None:
    for rule_id in ("\ud800", "a\0b"):
        with pytest.raises(errors.InvalidParam):
            check_rule("content", rule_id, [], None, "x")


def test_kinds_and_actions_are_checked_alone_too() -> None:
    assert check_kind("sender") == "sender"
    assert check_actions(["notify", "dont_notify"]) == ("notify", "dont_notify")


def test_there_is_an_end_to_how_much_one_user_has() -> None:
    def many(number: int, pattern: str) -> Customisation:
        return Customisation({"content": tuple(rule(str(index), pattern=pattern) for index in range(number))})

    check_limits(many(MAX_RULES, "word"))
    check_limits(many(MAX_SEARCHED_PATTERNS, "w*rd"))
    conditions = tuple({"kind": "event_match", "key": "type", "pattern": "m.*"} for _ in range(MAX_CONDITIONS))
    too_much = [
        many(MAX_RULES + 1, "word"),
        many(MAX_SEARCHED_PATTERNS + 1, "w*rd"),
        many(5, "a?" * 101),
        Customisation({"override": tuple(PushRule("override", str(i), (), conditions) for i in range(4))}),
        Customisation({"override": tuple(PushRule("override", str(i), (), ({},) * 32) for i in range(126))}),
    ]
    for customisation in too_much:
        with pytest.raises(errors.InvalidParam):
            check_limits(customisation)
