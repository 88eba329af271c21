"""From a draft to a signed event, in every room version."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.builder import EventDraft, build_event, hash_and_sign
from homeserver.protocol.errors import BadJson, EventTooLarge
from homeserver.protocol.event_format import max_depth, parse_pdu
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import event_id_of, has_valid_content_hash
from homeserver.protocol.identifiers import is_event_id, is_hash_id
from homeserver.protocol.room_versions import ROOM_VERSIONS, V1, V11, V12, RoomVersion
from homeserver.protocol.signing import SigningKey, verify_event
from tests.protocol.factory import ALICE, ALL_VERSIONS, since

KEY = SigningKey.from_seed("1", b"a" * 32)


def build(draft: EventDraft, version: RoomVersion, **changes: Any) -> Event:
    """Build at some place of a room of Alice's server."""
    where: dict[str, Any] = {
        "room_id": "!room:example.org",
        "prev_event_ids": ["$prev:example.org"],
        "auth_event_ids": ["$auth:example.org", "$levels:example.org"],
        "depth": 7,
        "origin_server_ts": 1234,
        "server_name": "example.org",
        "signing_key": KEY,
        **changes,
    }
    return build_event(draft, room_version=version, **where)


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> RoomVersion:
    """Every room version."""
    return ROOM_VERSIONS[request.param]


def test_other_servers_accept_what_we_build(version: RoomVersion) -> None:
    event = build(EventDraft("m.room.topic", ALICE, {"topic": "Tea"}, state_key=""), version)
    parsed = parse_pdu(event.pdu, version)
    assert parsed == event
    assert (parsed.type, parsed.sender, parsed.content, parsed.state_key) == (
        "m.room.topic",
        ALICE,
        {"topic": "Tea"},
        "",
    )
    assert (parsed.depth, parsed.origin_server_ts, parsed.room_id) == (7, 1234, "!room:example.org")
    assert parsed.prev_event_ids == ("$prev:example.org",)
    assert parsed.auth_event_ids == ("$auth:example.org", "$levels:example.org")
    assert has_valid_content_hash(event.pdu, version)
    verify_event(event.pdu, version, "example.org", KEY.key_id, KEY.verify_key)


def test_the_id_is_a_hash_since_v3(version: RoomVersion) -> None:
    event = build(EventDraft("m.room.message", ALICE, {}), version)
    assert event.event_id == event_id_of(event.pdu, version)
    if version.event_id_in_pdu:
        assert is_event_id(event.event_id)
        assert event.event_id.endswith(":example.org")
    else:
        assert "event_id" not in event.pdu
        assert is_hash_id(event.event_id) or version.version == "3"


def test_two_different_events_have_different_ids(version: RoomVersion) -> None:
    drafts = (EventDraft("m.room.message", ALICE, {"body": text}) for text in ("tea", "coffee"))
    assert len({build(draft, version).event_id for draft in drafts}) == 2


def test_the_references_of_old_rooms_carry_hashes_where_these_are_known() -> None:
    event = build(EventDraft("m.room.message", ALICE, {}), V1, reference_hashes={"$prev:example.org": "abc"})
    assert event.pdu["prev_events"] == [["$prev:example.org", {"sha256": "abc"}]]
    assert event.pdu["auth_events"] == [["$auth:example.org", {}], ["$levels:example.org", {}]]


@pytest.mark.parametrize("name", ALL_VERSIONS)
def test_a_redaction_says_where_its_version_wants_it_what_it_redacts(name: str) -> None:
    version = ROOM_VERSIONS[name]
    draft = EventDraft("m.room.redaction", ALICE, {"reason": "spam"}, redacts="$bad")
    event = build(draft, version)
    assert event.redacts == "$bad"
    assert ("redacts" in event.content) is (name in since("11"))
    assert ("redacts" in event.pdu) is (name not in since("11"))
    assert draft.content == {"reason": "spam"}


def test_the_create_event_makes_the_room_id_since_v12() -> None:
    draft = EventDraft("m.room.create", ALICE, {"room_version": "12"}, state_key="")
    event = build(draft, V12, room_id=None, prev_event_ids=[], auth_event_ids=[])
    assert "room_id" not in event.pdu
    assert event.room_id == "!" + event.event_id[1:]


def test_depth_stops_growing_at_its_limit(version: RoomVersion) -> None:
    event = build(EventDraft("m.room.message", ALICE, {}), version, depth=max_depth(version) + 1)
    assert event.depth == max_depth(version)
    parse_pdu(event.pdu, version)


@pytest.mark.parametrize("content", [{"a": 1.5}, {"a": 2**53}, {"a": "\ud800"}])
def test_content_that_is_not_canonical_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(BadJson):
        build(EventDraft("m.room.message", ALICE, content), V12)


def test_an_event_just_below_the_limit_is_built_and_one_above_is_not() -> None:
    def size_of(body: int) -> Event:
        return build(EventDraft("m.room.message", ALICE, {"body": "x" * body}), V11)

    parse_pdu(size_of(64_900).pdu, V11)
    for too_long in (65_300, 70_000):
        with pytest.raises(EventTooLarge):
            size_of(too_long)


@pytest.mark.parametrize("draft", [EventDraft("x" * 256, ALICE, {}), EventDraft("x", ALICE, {}, state_key="ü" * 128)])
def test_fields_are_measured_in_bytes_in_every_version(version: RoomVersion, draft: EventDraft) -> None:
    with pytest.raises(EventTooLarge):
        build(draft, version)


def test_another_servers_template_loses_its_own_hashes() -> None:
    template = {
        **build(EventDraft("m.room.member", ALICE, {"membership": "join"}, state_key=ALICE), V11).pdu,
        "hashes": {"sha256": "theirs"},
        "signatures": {"evil.example": {"ed25519:1": "theirs"}},
        "unsigned": {"age": 1},
        "origin": "kept, though nobody knows it",
    }
    event = hash_and_sign(template, V11, "example.org", KEY)
    assert event.pdu["origin"] == template["origin"]
    assert set(event.pdu["signatures"]) == {"example.org"}
    assert has_valid_content_hash(event.pdu, V11)
    verify_event(event.pdu, V11, "example.org", KEY.key_id, KEY.verify_key)
