"""PDUs made of stored bytes by splicing: the same as by parsing, for every room version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.client_event import join, split
from homeserver.protocol.events import Event
from homeserver.protocol.pdu_bytes import pdu_bytes
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tests.protocol.factory import ALL_VERSIONS
from tests.protocol.test_canonical_json import TEXTS, VALUES
from tests.protocol.test_client_event import a_pdu


def check(pdu: dict[str, Any], version: RoomVersion) -> None:
    event = Event.from_pdu(pdu, version, None if version.event_id_in_pdu else "$e")
    body, envelope = split(event)
    spliced = decode_lenient(pdu_bytes(event.event_id, body, envelope, version))
    assert spliced == join(body, envelope, version) == pdu


@pytest.mark.parametrize("name", ALL_VERSIONS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state_key": ""},
        {"state_key": '","event_id":"$e"'},
        {"content": {"event_id": "$e", "a": {"event_id": "$e"}, "body": ',"event_id":"$e"'}},
        {"content": {"a": 1, "event_id": "$e", "redacts": "$f"}},
        {"origin": "example.org", "msc4354_sticky": {"duration_ms": 5}},
        {"type": "m.room.redaction", "content": {"redacts": "$f", "reason": "\u2028"}, "redacts": "$f"},
    ],
)
def test_what_is_spliced_is_what_was_split(name: str, changes: dict[str, Any]) -> None:
    check(a_pdu(ROOM_VERSIONS[name], **changes), ROOM_VERSIONS[name])


@settings(max_examples=60, deadline=None)
@given(content=st.dictionaries(TEXTS, VALUES, max_size=4), state_key=st.none() | TEXTS)
def test_whatever_strangers_write(content: dict[str, Any], state_key: str | None) -> None:
    for name in ("4", "11"):
        version = ROOM_VERSIONS[name]
        check(a_pdu(version, content=content, **({} if state_key is None else {"state_key": state_key})), version)
