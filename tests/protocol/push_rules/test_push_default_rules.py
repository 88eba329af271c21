"""The server-default rules: what happens when Alice sends this, and Bob has never touched his push rules."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.push_rules import (
    DEFAULT_EVALUATOR,
    DEFAULT_RULESET,
    NO_CUSTOMISATION,
    NOTHING,
    Action,
    Customisation,
    EventFacts,
    PushRule,
    ReaderFacts,
    RoomFacts,
    compile_ruleset,
    effective_ruleset,
)
from homeserver.protocol.push_rules.customisation import put_rule
from tests.protocol.factory import ALICE, BOB, CHARLIE

GROUP = RoomFacts(member_count=10)
PAIR = RoomFacts(member_count=2)
QUIETLY = (True, False, None)
WITH_SOUND = (True, False, "default")
RINGING = (True, False, "ring")
HIGHLIGHTED = (True, True, None)
LOUDLY = (True, True, "default")
NOT_AT_ALL = (False, False, None)


def send(
    event_type: str, content: dict[str, Any] | None = None, room: RoomFacts = GROUP, reader: str = BOB, **event: Any
) -> tuple[bool, bool, str | None]:
    """(notify, highlight, sound) for one reader when Alice sends this."""
    fields = {"type": event_type, "sender": ALICE, "room_id": "!r:a", "content": content or {}, **event}
    action = DEFAULT_EVALUATOR.decide(EventFacts(fields, room)).for_reader(ReaderFacts(reader))
    return action.notify, action.highlight, action.sound


def test_ordinary_messages() -> None:
    assert send("m.room.message", {"body": "hi"}) == QUIETLY
    assert send("m.room.message", {"body": "hi"}, PAIR) == WITH_SOUND
    assert send("m.room.encrypted") == QUIETLY
    # MSC4028: only the device can say what an encrypted event is; until then it makes no sound.
    assert send("m.room.encrypted", room=PAIR) == QUIETLY


@pytest.mark.parametrize("event_type", ["m.room.topic", "m.sticker", "org.example", "m.room.tombstone"])
def test_what_no_rule_knows_notifies_nobody(event_type: str) -> None:
    assert send(event_type) == NOT_AT_ALL


def test_nobody_is_notified_of_what_he_sent_himself() -> None:
    content = {"body": "hi", "m.mentions": {"user_ids": [ALICE], "room": True}}
    assert send("m.room.message", content, PAIR, reader=ALICE) == NOT_AT_ALL


def test_notices_are_quiet_even_with_a_mention() -> None:
    content = {"msgtype": "m.notice", "body": "beep", "m.mentions": {"user_ids": [BOB]}}
    assert send("m.room.message", content, PAIR) == NOT_AT_ALL


def test_an_invitation_rings_at_the_invited_only() -> None:
    content = {"membership": "invite"}
    assert send("m.room.member", content, state_key=BOB) == WITH_SOUND
    assert send("m.room.member", content, state_key=CHARLIE) == NOT_AT_ALL
    assert send("m.room.member", {"membership": "join"}, state_key=BOB) == NOT_AT_ALL


def test_intentional_mentions() -> None:
    content = {"body": "hello", "m.mentions": {"user_ids": [BOB, 5]}}
    assert send("m.room.message", content) == LOUDLY
    assert send("m.room.message", content, reader=CHARLIE) == QUIETLY
    assert send("org.example", content) == LOUDLY


@pytest.mark.parametrize("mentions", [None, [BOB], {"user_ids": BOB}, {"user_ids": {BOB: 1}}, {"user_ids": ["@b"]}])
def test_a_mention_must_be_intentional(mentions: Any) -> None:
    assert send("m.room.message", {"body": f"hello {BOB}", "m.mentions": mentions}) == QUIETLY


@pytest.mark.parametrize(
    ("level", "levels", "expected"),
    [
        (50, {}, HIGHLIGHTED),
        (49, {}, QUIETLY),
        (20, {"room": 20}, HIGHLIGHTED),
        (50, {"room": 51}, QUIETLY),
        (float("inf"), {"room": 100}, HIGHLIGHTED),
    ],
)
def test_room_mentions_need_the_level(level: float, levels: dict[str, int], expected: Any) -> None:
    content = {"body": "@room", "m.mentions": {"room": True}}
    assert send("m.room.message", content, RoomFacts(10, level, levels)) == expected


@pytest.mark.parametrize("room", [False, "true", 1, None])
def test_a_room_mention_is_exactly_true(room: Any) -> None:
    content = {"body": "@room", "m.mentions": {"room": room}}
    assert send("m.room.message", content, RoomFacts(10, 100)) == QUIETLY


def test_an_upgraded_room_highlights() -> None:
    assert send("m.room.tombstone", state_key="") == HIGHLIGHTED
    assert send("m.room.tombstone", state_key="x") == NOT_AT_ALL


def test_reactions_acls_and_edits_are_quiet() -> None:
    assert send("m.reaction", room=PAIR) == NOT_AT_ALL
    assert send("m.room.server_acl", state_key="") == NOT_AT_ALL
    edit = {"body": "* hi", "m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}
    assert send("m.room.message", edit, PAIR) == NOT_AT_ALL


def test_an_edit_that_mentions_bob_still_notifies_him() -> None:
    """`.m.rule.is_user_mention` comes before `.m.rule.suppress_edits`."""
    edit = {"m.relates_to": {"rel_type": "m.replace"}, "m.mentions": {"user_ids": [BOB]}}
    assert send("m.room.message", edit) == LOUDLY
    assert send("m.room.message", edit, reader=CHARLIE) == NOT_AT_ALL


def test_calls_ring() -> None:
    assert send("m.call.invite") == RINGING


RING_EVENT, INVITE_EVENT = "org.matrix.msc4075.rtc.notification", "org.matrix.msc4075.rtc.invite"
HERE, MAY_NOT = RoomFacts(10, 100), RoomFacts(10, 0)


@pytest.mark.parametrize("event_type", [RING_EVENT, INVITE_EVENT])
def test_a_call_rings_for_whom_it_mentions(event_type: str) -> None:
    content = {"notification_type": "ring", "lifetime": 30_000, "m.mentions": {"user_ids": [BOB]}}
    assert send(event_type, content, HERE) == RINGING
    assert send(event_type, content, PAIR) == RINGING
    assert send(event_type, content, HERE, reader=CHARLIE) == NOT_AT_ALL


@pytest.mark.parametrize("event_type", [RING_EVENT, INVITE_EVENT])
def test_a_call_rings_for_the_room_where_its_sender_may_mention_it(event_type: str) -> None:
    content = {"notification_type": "ring", "m.mentions": {"user_ids": [], "room": True}}
    assert send(event_type, content, HERE) == RINGING
    assert send(event_type, content, HERE, reader=CHARLIE) == RINGING
    assert send(event_type, content, MAY_NOT) == NOT_AT_ALL


def test_mallory_makes_no_room_ring_but_people_in_pairs_call_each_other() -> None:
    content = {"notification_type": "ring", "m.mentions": {"room": True}}
    assert send(RING_EVENT, content, RoomFacts(10, 0)) == NOT_AT_ALL
    assert send(RING_EVENT, content, RoomFacts(2, 0)) == RINGING
    assert send(RING_EVENT, {"m.mentions": {}}, RoomFacts(10, 100)) == NOT_AT_ALL


def test_a_call_that_only_notifies_makes_the_sound_of_a_mention() -> None:
    content = {"notification_type": "notification", "m.mentions": {"user_ids": [BOB]}}
    assert send(RING_EVENT, content, HERE) == LOUDLY
    assert send(RING_EVENT, {"notification_type": "notification", "m.mentions": {"room": True}}, HERE) == HIGHLIGHTED


def test_who_declines_is_quiet() -> None:
    assert send("org.matrix.msc4310.rtc.decline", {"m.relates_to": {"rel_type": "m.reference"}}, PAIR) == NOT_AT_ALL


GROUP_CALL = "org.matrix.msc3401.call"


def _group_call(content: dict[str, Any], before: dict[str, Any] | None = None) -> tuple[bool, str | None]:
    """(notify, sound) of the state event of a group call."""
    fields = {"type": GROUP_CALL, "state_key": "1", "sender": ALICE, "room_id": "!r:a", "content": content}
    action = DEFAULT_EVALUATOR.decide(EventFacts(fields, GROUP, replaced=before)).for_reader(ReaderFacts(BOB))
    return action.notify, action.sound


def test_a_group_call_is_told_when_it_starts() -> None:
    started, over = {"m.intent": "m.ring"}, {"m.intent": "m.ring", "m.terminated": "call_ended"}
    assert _group_call(started) == (True, "default")
    assert _group_call({"m.intent": "m.prompt"}, over) == (True, "default")
    assert _group_call(started, started) == (False, None)
    assert _group_call(over) == (False, None)
    assert _group_call({"m.intent": "m.room"}) == (False, None)
    assert _group_call({"m.intent": ["m.ring"]}) == (False, None)


def test_all_encrypted_events_are_pushed_but_where_a_rule_of_ones_own_says_no() -> None:
    """MSC4028: the device has to look into them."""
    edit = {"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}
    assert send("m.room.encrypted", edit) == QUIETLY
    muted = {"kind": "event_match", "key": "room_id", "pattern": "!r:a"}
    by_override = put_rule(NO_CUSTOMISATION, PushRule("override", "!r:a", (), (muted,)))
    by_room = put_rule(NO_CUSTOMISATION, PushRule("room", "!r:a", ()))
    assert not _for_bob(by_override, "m.room.encrypted").notify
    assert _for_bob(by_room, "m.room.encrypted").notify
    assert not _for_bob(by_room, "m.room.message").notify


def _for_bob(customisation: Customisation, event_type: str) -> Action:
    fields = {"type": event_type, "sender": ALICE, "room_id": "!r:a", "content": {}}
    evaluator = compile_ruleset(effective_ruleset(customisation))
    return evaluator.decide(EventFacts(fields, GROUP)).for_reader(ReaderFacts(BOB))


def test_polls() -> None:
    assert send("org.matrix.msc3381.poll.response", room=PAIR) == NOT_AT_ALL
    for event_type in ("org.matrix.msc3381.poll.start", "org.matrix.msc3381.poll.end"):
        assert send(event_type) == QUIETLY
        assert send(event_type, room=PAIR) == WITH_SOUND


# --- For fan-out --------------------------------------------------------------------------------------------------


def test_a_decision_names_the_only_readers_that_differ() -> None:
    fields = {"type": "m.room.message", "sender": ALICE, "room_id": "!r:a", "content": {"m.mentions": {}}}
    plain = DEFAULT_EVALUATOR.decide(EventFacts(fields, GROUP))
    assert plain.named == frozenset()
    fields["content"] = {"m.mentions": {"user_ids": [BOB, CHARLIE]}}
    mention = DEFAULT_EVALUATOR.decide(EventFacts(fields, GROUP))
    assert mention.named == {BOB, CHARLIE}
    assert mention.otherwise == Action(True, actions=("notify",))
    assert DEFAULT_EVALUATOR.decide(EventFacts({**fields, "type": "x", "content": {}}, GROUP)).otherwise is NOTHING


def test_the_rules_are_shown_with_the_readers_own_id() -> None:
    shown = DEFAULT_RULESET.to_client(BOB)
    assert list(shown) == ["override", "content", "postcontent", "room", "sender", "underride"]
    invite = next(rule for rule in shown["override"] if rule["rule_id"] == ".m.rule.invite_for_me")
    assert invite == {
        "rule_id": ".m.rule.invite_for_me",
        "default": True,
        "enabled": True,
        "conditions": [
            {"kind": "event_match", "key": "type", "pattern": "m.room.member"},
            {"kind": "event_match", "key": "content.membership", "pattern": "invite"},
            {"kind": "event_match", "key": "state_key", "pattern": BOB},
        ],
        "actions": ["notify", {"set_tweak": "sound", "value": "default"}],
    }
    assert "\0" not in str(shown)


def test_all_default_rules_are_there_in_order() -> None:
    def ids(kind: str) -> list[str]:
        return [rule.rule_id for rule in DEFAULT_RULESET.by_kind[kind] if rule.rule_id.startswith(".m.")]

    assert ids("override") == [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.is_room_mention",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ]
    assert ids("underride") == [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ]
    assert all(rule.default and rule.rule_id.startswith(".") for rule in DEFAULT_RULESET)
    assert [rule.rule_id for rule in DEFAULT_RULESET if not rule.enabled] == [".m.rule.master"]
