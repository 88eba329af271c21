"""The server-default rules (v1.19, "Predefined Rules"), most important first, and the unstable ones clients know.

Unstable: polls (MSC3930), incoming MatrixRTC calls (MSC4075) and the group calls of before (MSC3914), next to the rules they
resemble; all encrypted events (MSC4028), before everything but the master switch, so that devices can look into them;
subscribed threads (MSC4306), of a kind of their own.

MSC4075 has two generations. Today's text knows `rtc.invite`, which rings whom it mentions, before the rules for mentions
would only make their sound. Clients still send `rtc.notification`, which does so where its type is "ring"; the rules for
that are ours.
"""

from __future__ import annotations

from typing import Any, Final

from homeserver.protocol.push_rules.rules import (
    KINDS,
    MASTER,
    OWN_USER_ID,
    POSTCONTENT,
    JsonAction,
    JsonCondition,
    PushRule,
    Ruleset,
)

NOTIFY: Final = "notify"
DEFAULT_SOUND: Final[dict[str, Any]] = {"set_tweak": "sound", "value": "default"}
RING: Final[dict[str, Any]] = {"set_tweak": "sound", "value": "ring"}
ENCRYPTED_EVENT: Final = ".org.matrix.msc4028.encrypted_event"
HIGHLIGHT: Final[dict[str, Any]] = {"set_tweak": "highlight"}


def _matches(key: str, pattern: str) -> JsonCondition:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _is(key: str, value: Any) -> JsonCondition:
    return {"kind": "event_property_is", "key": key, "value": value}


def _override(
    rule_id: str, *conditions: JsonCondition, actions: tuple[JsonAction, ...] = (), enabled: bool = True
) -> PushRule:
    return PushRule("override", rule_id, actions, conditions, enabled=enabled, default=True)


def _underride(rule_id: str, *conditions: JsonCondition, actions: tuple[JsonAction, ...]) -> PushRule:
    return PushRule("underride", rule_id, actions, conditions, default=True)


def _mentions_me() -> JsonCondition:
    return {"kind": "event_property_contains", "key": "content.m\\.mentions.user_ids", "value": OWN_USER_ID}


def _mentions_room() -> tuple[JsonCondition, JsonCondition]:
    """By somebody who may."""
    return _is("content.m\\.mentions.room", True), {"kind": "sender_notification_permission", "key": "room"}


_RTC: Final = ".org.matrix.msc4075.rule.rtc"
_OURS: Final = ".org.voicechat.rule.rtc"
_IS_INVITE: Final = _matches("type", "org.matrix.msc4075.rtc.invite")
_IS_NOTIFICATION: Final = _matches("type", "org.matrix.msc4075.rtc.notification")
_IS_RING: Final = (_IS_NOTIFICATION, _is("content.notification_type", "ring"))
_TWO_MEMBERS: Final = {"kind": "room_member_count", "is": "2"}

OVERRIDE_RULES: Final = (
    _override(MASTER, enabled=False),
    # "org.matrix.msc4062.dont_email" is not among the actions: e-mail pushers leave the rule out (services/push/mailed).
    _override(ENCRYPTED_EVENT, _is("type", "m.room.encrypted"), actions=(NOTIFY,)),
    _override(".m.rule.suppress_notices", _matches("content.msgtype", "m.notice")),
    _override(
        ".m.rule.invite_for_me",
        _matches("type", "m.room.member"),
        _matches("content.membership", "invite"),
        _matches("state_key", OWN_USER_ID),
        actions=(NOTIFY, DEFAULT_SOUND),
    ),
    _override(".m.rule.member_event", _matches("type", "m.room.member")),
    _override(_RTC + ".invite_for_me", _IS_INVITE, _mentions_me(), actions=(NOTIFY, RING)),
    _override(_OURS + ".ring_for_me", *_IS_RING, _mentions_me(), actions=(NOTIFY, RING)),
    _override(
        ".m.rule.is_user_mention",
        _mentions_me(),
        actions=(NOTIFY, DEFAULT_SOUND, HIGHLIGHT),
    ),
    _override(_RTC + ".invite_for_room", _IS_INVITE, *_mentions_room(), actions=(NOTIFY, RING)),
    _override(_OURS + ".ring_for_room", *_IS_RING, *_mentions_room(), actions=(NOTIFY, RING)),
    _override(
        ".m.rule.is_room_mention",
        *_mentions_room(),
        actions=(NOTIFY, HIGHLIGHT),
    ),
    _override(
        ".m.rule.tombstone",
        _matches("type", "m.room.tombstone"),
        _matches("state_key", ""),
        actions=(NOTIFY, HIGHLIGHT),
    ),
    _override(".m.rule.reaction", _matches("type", "m.reaction")),
    _override(".m.rule.room.server_acl", _matches("type", "m.room.server_acl"), _matches("state_key", "")),
    _override(".m.rule.suppress_edits", _is("content.m\\.relates_to.rel_type", "m.replace")),
    _override(".org.matrix.msc3930.rule.poll_response", _matches("type", "org.matrix.msc3381.poll.response")),
)

UNDERRIDE_RULES: Final = (
    _underride(".m.rule.call", _matches("type", "m.call.invite"), actions=(NOTIFY, RING)),
    _underride(
        ".org.matrix.msc3914.rule.room.call",
        _matches("type", "org.matrix.msc3401.call"),
        {"kind": "org.matrix.msc3914.call_started"},
        actions=(NOTIFY, DEFAULT_SOUND),
    ),
    # Whoever may not mention the whole room may still call the other one of two.
    _underride(_RTC, _TWO_MEMBERS, *_IS_RING, actions=(NOTIFY, RING)),
    _underride(
        ".m.rule.encrypted_room_one_to_one",
        _TWO_MEMBERS,
        _matches("type", "m.room.encrypted"),
        actions=(NOTIFY, DEFAULT_SOUND),
    ),
    _underride(
        ".m.rule.room_one_to_one",
        _TWO_MEMBERS,
        _matches("type", "m.room.message"),
        actions=(NOTIFY, DEFAULT_SOUND),
    ),
    _underride(
        ".org.matrix.msc3930.rule.poll_start_one_to_one",
        _TWO_MEMBERS,
        _matches("type", "org.matrix.msc3381.poll.start"),
        actions=(NOTIFY, DEFAULT_SOUND),
    ),
    _underride(
        ".org.matrix.msc3930.rule.poll_end_one_to_one",
        _TWO_MEMBERS,
        _matches("type", "org.matrix.msc3381.poll.end"),
        actions=(NOTIFY, DEFAULT_SOUND),
    ),
    _underride(".m.rule.message", _matches("type", "m.room.message"), actions=(NOTIFY,)),
    _underride(".m.rule.encrypted", _matches("type", "m.room.encrypted"), actions=(NOTIFY,)),
    _underride(
        ".org.matrix.msc3930.rule.poll_start", _matches("type", "org.matrix.msc3381.poll.start"), actions=(NOTIFY,)
    ),
    _underride(".org.matrix.msc3930.rule.poll_end", _matches("type", "org.matrix.msc3381.poll.end"), actions=(NOTIFY,)),
)

_THREADS: Final = ".io.element.msc4306.rule."
POSTCONTENT_RULES: Final = tuple(
    PushRule(
        POSTCONTENT,
        _THREADS + rule_id,
        actions,
        ({"kind": "io.element.msc4306.thread_subscription", "subscribed": subscribed},),
        default=True,
    )
    for rule_id, subscribed, actions in (
        ("unsubscribed_thread", False, ()),
        ("subscribed_thread", True, (NOTIFY, DEFAULT_SOUND)),
    )
)

DEFAULT_RULESET: Final = Ruleset(
    {
        **dict.fromkeys(KINDS, ()),
        "override": OVERRIDE_RULES,
        POSTCONTENT: POSTCONTENT_RULES,
        "underride": UNDERRIDE_RULES,
    }
)
