"""Mallory sends anything: events and state of any content are allowed or rejected, and nothing else happens."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.auth import AuthRejection, auth_types_for_event
from homeserver.protocol.events import Event
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, MALLORY, RoomBuilder

TYPES = st.sampled_from(
    [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.third_party_invite",
        "m.room.aliases",
        "m.room.redaction",
        "m.room.message",
    ]
)
# Create events and (until v5) aliases are decided by rules of their own.
RULED_BY_MEMBERSHIP = TYPES.filter(lambda event_type: event_type not in ("m.room.create", "m.room.aliases"))
WORDS = st.sampled_from(
    ["join", "invite", "leave", "ban", "knock", "public", "restricted", ALICE, BOB, "token", "AAAA", "12", "50"]
)
KEYS = st.sampled_from(
    [
        "membership",
        "join_rule",
        "join_authorised_via_users_server",
        "third_party_invite",
        "signed",
        "mxid",
        "token",
        "signatures",
        "public_key",
        "public_keys",
        "users",
        "events",
        "invite",
        "ban",
        "creator",
        "additional_creators",
        "room_version",
        "m.federate",
        "redacts",
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | WORDS, inner, max_size=4),
    max_leaves=8,
)
CONTENTS = st.dictionaries(KEYS, WORDS | ANY_JSON, max_size=5)
STATE_KEYS = st.sampled_from([None, "", ALICE, BOB, MALLORY, "token", "example.org"])


def is_refused(room: RoomBuilder, event: Event) -> bool:
    """Whether a rule refuses the event, by itself or in this state."""
    try:
        room.allows_by_itself(event)
        room.allows(event)
    except AuthRejection as rejection:
        return bool(rejection.rule and rejection.reason)
    return False


@given(
    st.sampled_from(ALL_VERSIONS),
    TYPES,
    STATE_KEYS,
    CONTENTS,
    st.lists(st.tuples(TYPES, STATE_KEYS, CONTENTS), max_size=3),
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_any_event_in_any_state(
    version: str, event_type: str, state_key: str | None, content: dict[str, Any], state: list[tuple[str, Any, Any]]
) -> None:
    room = RoomBuilder(version).power_levels().join_rule("public").join(BOB)
    for other_type, other_key, other_content in state:
        if other_key is not None:
            room.set(ALICE, other_type, other_content, other_key)
    for sender in (ALICE, BOB, MALLORY):
        keys = auth_types_for_event(event_type, sender, state_key, content, room.version)
        assert len(keys) == len(set(keys))
        assert is_refused(room, room.draft(sender, event_type, content, state_key)) in (True, False)


@given(st.sampled_from(ALL_VERSIONS), RULED_BY_MEMBERSHIP, CONTENTS)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_a_stranger_changes_nothing_in_a_private_room(version: str, event_type: str, content: dict[str, Any]) -> None:
    """Whatever Mallory sends for herself into a room that never invited her, no rule lets it in."""
    room = RoomBuilder(version).power_levels()
    for state_key in (None, "", MALLORY):
        assert is_refused(room, room.draft(MALLORY, event_type, content, state_key))
