"""Redaction in every room version: which keys survive."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, ALL_VERSIONS, since, until

KEPT_ALWAYS = (
    "event_id",
    "type",
    "room_id",
    "sender",
    "state_key",
    "hashes",
    "signatures",
    "depth",
    "prev_events",
    "auth_events",
    "origin_server_ts",
)
KEPT_UNTIL_V10 = ("origin", "membership", "prev_state")

# (event type, key, versions in which it survives). Room version texts, "Redactions".
CONTENT_KEYS = [
    ("m.room.member", "membership", ALL_VERSIONS),
    ("m.room.member", "join_authorised_via_users_server", since("9")),
    ("m.room.member", "displayname", ()),
    ("m.room.create", "creator", ALL_VERSIONS),
    ("m.room.create", "room_version", since("11")),
    ("m.room.create", "anything", since("11")),
    ("m.room.join_rules", "join_rule", ALL_VERSIONS),
    ("m.room.join_rules", "allow", since("8")),
    ("m.room.power_levels", "ban", ALL_VERSIONS),
    ("m.room.power_levels", "events", ALL_VERSIONS),
    ("m.room.power_levels", "events_default", ALL_VERSIONS),
    ("m.room.power_levels", "kick", ALL_VERSIONS),
    ("m.room.power_levels", "redact", ALL_VERSIONS),
    ("m.room.power_levels", "state_default", ALL_VERSIONS),
    ("m.room.power_levels", "users", ALL_VERSIONS),
    ("m.room.power_levels", "users_default", ALL_VERSIONS),
    ("m.room.power_levels", "invite", since("11")),
    ("m.room.power_levels", "notifications", ()),
    ("m.room.aliases", "aliases", until("5")),
    ("m.room.history_visibility", "history_visibility", ALL_VERSIONS),
    ("m.room.redaction", "redacts", since("11")),
    ("m.room.message", "body", ()),
    ("m.room.name", "name", ()),
    ("m.room.topic", "membership", ()),
]


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize(("event_type", "key", "surviving"), CONTENT_KEYS)
def test_a_key_of_the_content_survives(version: str, event_type: str, key: str, surviving: tuple[str, ...]) -> None:
    event = {"type": event_type, "content": {key: "value", "other": 1}}
    content = redact(event, ROOM_VERSIONS[version])["content"]
    assert (content.get(key) == "value") is (version in surviving)
    assert "other" not in content or (event_type == "m.room.create" and version in since("11"))


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_keys_of_the_event_survive(version: str) -> None:
    event = dict.fromkeys((*KEPT_ALWAYS, *KEPT_UNTIL_V10, "redacts", "unsigned", "age_ts", "prev_content"), "x")
    expected = {*KEPT_ALWAYS, "content", *(KEPT_UNTIL_V10 if version in until("10") else ())}
    assert redact(event, ROOM_VERSIONS[version]).keys() == expected


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize(
    ("invite", "left"),
    [
        ({"signed": {"token": "t"}, "display_name": "a***"}, {"signed": {"token": "t"}}),
        ({"display_name": "a***"}, {}),
        ("no object", None),
    ],
)
def test_the_signature_of_a_third_party_invite_survives_since_v11(version: str, invite: Any, left: Any) -> None:
    event = {"type": "m.room.member", "content": {"membership": "invite", "third_party_invite": invite}}
    expected = {"membership": "invite"}
    if version in since("11") and left is not None:
        expected["third_party_invite"] = left
    assert redact(event, ROOM_VERSIONS[version])["content"] == expected


@pytest.mark.parametrize("content", [None, [], "text", 5])
@pytest.mark.parametrize("version", ["1", "12"])
def test_content_that_is_no_object_becomes_one(content: object, version: str) -> None:
    assert redact({"type": "m.room.create", "content": content}, ROOM_VERSIONS[version])["content"] == {}


def test_the_event_itself_is_not_changed() -> None:
    event = {"type": "m.room.message", "sender": ALICE, "content": {"body": "hello"}, "unsigned": {}}
    redact(event, ROOM_VERSIONS["12"])
    assert event == {"type": "m.room.message", "sender": ALICE, "content": {"body": "hello"}, "unsigned": {}}


JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["signed", "a"]), inner, max_size=2),
    max_leaves=4,
)
CONTENTS = st.dictionaries(
    st.sampled_from(sorted({key for _, key, _ in CONTENT_KEYS} | {"third_party_invite"})), JSON, max_size=6
)


@given(
    st.sampled_from(ALL_VERSIONS),
    st.sampled_from(sorted({event_type for event_type, _, _ in CONTENT_KEYS})) | JSON,
    CONTENTS | JSON,
    st.dictionaries(st.sampled_from([*KEPT_ALWAYS, *KEPT_UNTIL_V10, "unsigned"]), JSON),
)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_redacting_twice_changes_nothing(version: str, event_type: Any, content: Any, rest: dict[str, Any]) -> None:
    once = redact({**rest, "type": event_type, "content": content}, ROOM_VERSIONS[version])
    assert redact(once, ROOM_VERSIONS[version]) == once
