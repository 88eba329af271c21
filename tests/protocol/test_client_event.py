"""The stored halves of an event: split, joined again, rendered for clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.client_event import join, join_event, render, split
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS, V1, V11, V12, RoomVersion
from tests.protocol.factory import ALICE, ALL_VERSIONS, since, until
from tests.protocol.test_canonical_json import TEXTS, VALUES

CLIENT_KEYS = {"content", "event_id", "origin_server_ts", "redacts", "sender", "state_key", "type"}


def a_pdu(version: RoomVersion, **changes: Any) -> dict[str, Any]:
    """The PDU of a message."""
    references = [["$a:b", {"sha256": "x"}]] if version.event_id_in_pdu else ["$a"]
    return {
        "type": "m.room.message",
        "sender": ALICE,
        "room_id": "!room:example.org",
        "content": {"body": "hello"},
        "origin_server_ts": 1,
        "depth": 2,
        "prev_events": references,
        "auth_events": references,
        "hashes": {"sha256": "x"},
        "signatures": {"example.org": {"ed25519:1": "y"}},
        **({"event_id": "$e:example.org"} if version.event_id_in_pdu else {}),
        **changes,
    }


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> RoomVersion:
    """Every room version."""
    return ROOM_VERSIONS[request.param]


SHAPES: list[dict[str, Any]] = [
    {},
    {"state_key": ""},
    {"content": {}},
    {"origin": "example.org", "prev_state": []},
    {"redacts": "$no-redaction"},
    {"content": {"redacts": "$no-redaction"}},
    {"type": "m.room.redaction", "redacts": "$x", "content": {}},
    {"type": "m.room.redaction", "content": {"redacts": "$x", "reason": "spam"}},
    {"type": "m.room.redaction", "redacts": "$x", "content": {"redacts": "$y"}},
    {"type": "m.room.redaction", "redacts": "$x", "content": {"redacts": "$x"}},
    {"type": "m.room.redaction", "redacts": 5, "content": {"redacts": 6}},
    {"type": "m.room.redaction", "content": {}},
    {"msc4354_sticky": {"duration_ms": 5}},
    {"msc4354_sticky": [None], "state_key": ""},
]


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_joining_gives_back_exactly_what_was_split(version: RoomVersion, changes: dict[str, Any]) -> None:
    event = Event.from_pdu(a_pdu(version, **changes), version)
    before = json.dumps(event.pdu)
    body, envelope = split(event)
    assert json.dumps(event.pdu) == before, "splitting changed the event"
    assert join(body, envelope, version) == event.pdu
    again = join_event(body, envelope, version)
    assert (again.event_id, again.redacts, again.room_id) == (event.event_id, event.redacts, event.room_id)


@pytest.mark.parametrize("name", until("5"))
def test_odd_numbers_of_old_rooms_survive(name: str) -> None:
    version = ROOM_VERSIONS[name]
    event = Event.from_pdu(a_pdu(version, content={"big": 2**80, "float": 1.5}, depth=2**62), version)
    assert join(*split(event), version) == event.pdu


def test_clients_see_nothing_but_the_keys_of_a_client_event(version: RoomVersion) -> None:
    body, envelope = split(Event.from_pdu(a_pdu(version, state_key="x", origin="example.org"), version))
    assert set(json.loads(body)) == CLIENT_KEYS - {"redacts"}
    assert not CLIENT_KEYS & set(json.loads(envelope))


@pytest.mark.parametrize("name", ALL_VERSIONS)
def test_clients_see_in_both_places_what_is_redacted(name: str) -> None:
    version = ROOM_VERSIONS[name]
    where = {"content": {"redacts": "$x"}} if name in since("11") else {"redacts": "$x", "content": {}}
    shown = json.loads(split(Event.from_pdu(a_pdu(version, type="m.room.redaction", **where), version)).body)
    assert shown["redacts"] == shown["content"]["redacts"] == "$x"


def test_the_create_event_of_v12_has_no_room_id_to_lose() -> None:
    pdu = a_pdu(V12, type="m.room.create", state_key="", prev_events=[], auth_events=[])
    del pdu["room_id"]
    event = Event.from_pdu(pdu, V12)
    assert join_event(*split(event), V12).room_id == event.room_id


@pytest.mark.parametrize("room_id", [None, "!room:example.org", '!"quoted":example.org'])
@pytest.mark.parametrize("unsigned", [None, b'{"age":5}'])
def test_rendering_splices_valid_json(room_id: str | None, unsigned: bytes | None) -> None:
    body = split(Event.from_pdu(a_pdu(V11), V11)).body
    expected = json.loads(body)
    if room_id is not None:
        expected["room_id"] = room_id
    if unsigned is not None:
        expected["unsigned"] = {"age": 5}
    assert json.loads(render(body, room_id=room_id, unsigned=unsigned)) == expected


def test_the_client_body_is_enough_for_the_auth_rules() -> None:
    event = Event.from_pdu(a_pdu(V1, type="m.room.member", state_key=ALICE, content={"membership": "join"}), V1)
    shown = Event.from_client_body(json.loads(split(event).body), event.room_id, V1)
    assert shown == event
    assert (shown.key, shown.membership, shown.sender_server, shown.is_state) == (
        ("m.room.member", ALICE),
        "join",
        "example.org",
        True,
    )


def test_a_message_has_no_state_key_to_ask_for() -> None:
    event = Event.from_pdu(a_pdu(V11), V11)
    assert not event.is_state
    assert event.membership is None
    with pytest.raises(TypeError):
        _ = event.key


@given(
    st.sampled_from(ALL_VERSIONS),
    st.sampled_from(["m.room.message", "m.room.redaction", "m.room.member"]),
    st.dictionaries(st.sampled_from(["redacts", "body", "unsigned", "event_id"]) | TEXTS, VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["redacts", "origin", "age_ts"]) | st.text("ab", min_size=1), VALUES, max_size=3),
)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_event_is_joined_as_it_was(
    name: str, event_type: str, content: dict[str, Any], extra: dict[str, Any]
) -> None:
    version = ROOM_VERSIONS[name]
    event = Event.from_pdu({**extra, **a_pdu(version, type=event_type, content=content)}, version)
    body, envelope = split(event)
    assert join(body, envelope, version) == event.pdu
    assert Event.from_pdu(join(body, envelope, version), version).event_id == event.event_id
