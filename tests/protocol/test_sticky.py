"""Which events stick, and until when (MSC4354)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeserver.protocol.builder import EventDraft, build_event
from homeserver.protocol.client_event import split
from homeserver.protocol.hashing import event_id_of, has_valid_content_hash
from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import SigningKey
from homeserver.protocol.sticky import MAX_STICKY_MS, sticks_until, sticky_duration
from tests.protocol.factory import ALICE, ALL_VERSIONS

KEY = SigningKey.from_seed("1", b"a" * 32)


@pytest.mark.parametrize(("given", "counts"), [(0, 0), (1, 1), (MAX_STICKY_MS, MAX_STICKY_MS), (2**60, MAX_STICKY_MS)])
def test_durations(given: int, counts: int) -> None:
    assert sticky_duration({"msc4354_sticky": {"duration_ms": given}}) == counts


@pytest.mark.parametrize(
    "sticky", [None, True, [], 5, {}, *({"duration_ms": bad} for bad in (-1, True, "5", 1.5, None))]
)
def test_what_is_no_duration_does_not_stick(sticky: Any) -> None:
    assert sticky_duration({"msc4354_sticky": sticky}) is None
    assert sticky_duration({}) is None


def test_nobody_sticks_longer_by_a_clock_that_is_ahead() -> None:
    assert sticks_until(100, origin_server_ts=5_000, received_ms=1_000) == 1_100
    assert sticks_until(100, origin_server_ts=1_000, received_ms=5_000) == 1_100


@pytest.mark.parametrize("name", ALL_VERSIONS)
def test_the_key_is_part_of_the_event_and_gone_with_its_content(name: str) -> None:
    version = ROOM_VERSIONS[name]
    event = build_event(
        EventDraft("m.rtc.member", ALICE, {"sticky_key": "x"}, sticky_ms=600_000),
        room_version=version,
        room_id="!room:example.org",
        prev_event_ids=["$prev:example.org"],
        auth_event_ids=["$auth:example.org"],
        depth=7,
        origin_server_ts=1234,
        server_name="example.org",
        signing_key=KEY,
    )
    assert event.pdu["msc4354_sticky"] == {"duration_ms": 600_000}
    assert has_valid_content_hash(event.pdu, version)
    assert not has_valid_content_hash({**event.pdu, "msc4354_sticky": {"duration_ms": 1}}, version)
    assert json.loads(split(event).body)["msc4354_sticky"] == {"duration_ms": 600_000}
    redacted = redact(event.pdu, version)
    assert "msc4354_sticky" not in redacted
    assert event_id_of(redacted, version) == event.event_id
