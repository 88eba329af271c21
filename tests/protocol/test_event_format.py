"""The format of a PDU: keys, types, references and sizes, per room version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import BadJson, EventTooLarge, InvalidEvent, MatrixError
from homeserver.protocol.event_format import check_field_bytes, max_depth, parse_pdu
from homeserver.protocol.room_versions import ROOM_VERSIONS, V1, V11, V12, RoomVersion
from tests.protocol.factory import ALICE, ALL_VERSIONS, since, until


def a_pdu(version: RoomVersion, **changes: Any) -> dict[str, Any]:
    """A message with a well-formed PDU; None takes a key away."""
    if version.event_id_in_pdu:
        references, event_id = [["$a:example.org", {"sha256": "x"}]], {"event_id": "$e:example.org"}
    else:
        references, event_id = ["$a"], {}
    pdu = {
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
        **event_id,
        **changes,
    }
    return {key: value for key, value in pdu.items() if value is not None}


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> RoomVersion:
    """Every room version."""
    return ROOM_VERSIONS[request.param]


def test_a_good_event_becomes_an_event(version: RoomVersion) -> None:
    event = parse_pdu(a_pdu(version, state_key="", unsigned={"age": 5}), version)
    assert event.key == ("m.room.message", "")
    assert event.prev_event_ids == event.auth_event_ids
    assert event.prev_event_ids[0].startswith("$a")
    assert "unsigned" not in event.pdu


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": None},
        {"sender": "alice"},
        {"sender": 5},
        {"type": None},
        {"type": 5},
        {"state_key": 5},
        {"content": None},
        {"content": "text"},
        {"content": []},
        {"origin_server_ts": None},
        {"origin_server_ts": "1"},
        {"origin_server_ts": True},
        {"depth": None},
        {"depth": -1},
        {"depth": True},
        {"room_id": None},
        {"room_id": "room"},
        {"prev_events": None},
        {"prev_events": {}},
        {"prev_events": [5]},
        {"prev_events": [[]]},
        {"prev_events": [["$a:b"]]},
        {"auth_events": [""]},
        {"auth_events": [["$a:b", "hash"]]},
        {"auth_events": [None]},
        {"hashes": None},
        {"hashes": []},
        {"hashes": {}},
        {"hashes": {"sha256": 5}},
        {"signatures": None},
        {"signatures": []},
        {"signatures": {"example.org": "y"}},
        {"signatures": {"example.org": {"ed25519:1": 5}}},
    ],
    ids=str,
)
def test_a_missing_or_misshapen_key_is_refused(version: RoomVersion, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        parse_pdu(a_pdu(version, **changes), version)


@pytest.mark.parametrize("pdu", [None, [], "text", 5])
def test_what_is_no_object_is_no_event(pdu: object) -> None:
    with pytest.raises(InvalidEvent):
        parse_pdu(pdu, V11)


@pytest.mark.parametrize("event_id", [None, 5, "e", "$"])
@pytest.mark.parametrize("version", ["1", "2"])
def test_old_rooms_need_an_event_id_in_the_event(version: str, event_id: object) -> None:
    with pytest.raises(InvalidEvent):
        parse_pdu(a_pdu(ROOM_VERSIONS[version], event_id=event_id), ROOM_VERSIONS[version])


def test_references_are_pairs_in_v1_and_ids_later() -> None:
    with pytest.raises(InvalidEvent):
        parse_pdu(a_pdu(V1, prev_events=["$a:example.org"]), V1)
    with pytest.raises(InvalidEvent):
        parse_pdu(a_pdu(V11, prev_events=[["$a:example.org", {}]]), V11)


def test_at_most_20_previous_and_10_auth_events(version: RoomVersion) -> None:
    one = a_pdu(version)["prev_events"]
    parse_pdu(a_pdu(version, prev_events=one * 20, auth_events=one * 10), version)
    for too_many in ({"prev_events": one * 21}, {"auth_events": one * 11}):
        with pytest.raises(InvalidEvent):
            parse_pdu(a_pdu(version, **too_many), version)


def test_the_create_event_has_a_room_id_until_v11(version: RoomVersion) -> None:
    create = a_pdu(version, type="m.room.create", state_key="", prev_events=[], auth_events=[])
    without = {key: value for key, value in create.items() if key != "room_id"}
    good, bad = (without, create) if version is V12 else (create, without)
    event = parse_pdu(good, version)
    assert event.room_id == ("!" + event.event_id[1:] if version is V12 else "!room:example.org")
    with pytest.raises(InvalidEvent):
        parse_pdu(bad, version)


def test_a_create_event_that_is_no_state_is_an_event_like_any_other() -> None:
    with pytest.raises(InvalidEvent):
        parse_pdu(a_pdu(V12, type="m.room.create", room_id=None), V12)
    assert parse_pdu(a_pdu(V12, type="m.room.create", state_key="x"), V12).room_id == "!room:example.org"


# --- Numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL_VERSIONS)
def test_depth_is_limited(name: str) -> None:
    version = ROOM_VERSIONS[name]
    assert max_depth(version) == (2**63 - 1 if name in until("5") else 2**53 - 1)
    parse_pdu(a_pdu(version, depth=max_depth(version)), version)
    with pytest.raises(MatrixError):
        parse_pdu(a_pdu(version, depth=max_depth(version) + 1), version)


@pytest.mark.parametrize("number", [1.5, 2**53, -(2**53)])
@pytest.mark.parametrize("name", ALL_VERSIONS)
def test_odd_numbers_are_refused_since_v6(name: str, number: float) -> None:
    version = ROOM_VERSIONS[name]
    pdu = a_pdu(version, content={"deep": [{"number": number}]})
    if name in since("6"):
        with pytest.raises(BadJson):
            parse_pdu(pdu, version)
    else:
        assert parse_pdu(pdu, version).content == {"deep": [{"number": number}]}


# --- Sizes --------------------------------------------------------------------------------------------------------


def padded_to(size: int, version: RoomVersion) -> dict[str, Any]:
    """An event of exactly this many bytes."""
    pdu = a_pdu(version, content={"body": ""})
    pdu["content"]["body"] = "x" * (size - len(encode_canonical(pdu)))
    assert len(encode_canonical(pdu)) == size
    return pdu


def test_an_event_has_65536_bytes_at_most_unsigned_not_counted(version: RoomVersion) -> None:
    parse_pdu({**padded_to(65_536, version), "unsigned": {"age": 5}}, version)
    with pytest.raises(EventTooLarge):
        parse_pdu(padded_to(65_537, version), version)


@pytest.mark.parametrize("name", ALL_VERSIONS)
@pytest.mark.parametrize("field", ["type", "state_key"])
def test_fields_have_255_characters_at_most_and_255_bytes_since_v12(name: str, field: str) -> None:
    version = ROOM_VERSIONS[name]
    parse_pdu(a_pdu(version, **{field: "x" * 255}), version)
    with pytest.raises(EventTooLarge):
        parse_pdu(a_pdu(version, **{field: "x" * 256}), version)
    two_bytes_each = a_pdu(version, **{field: "ü" * 255})
    if name == "12":
        with pytest.raises(EventTooLarge):
            parse_pdu(two_bytes_each, version)
    else:
        parse_pdu(two_bytes_each, version)


def test_our_own_events_keep_to_bytes_in_every_version() -> None:
    check_field_bytes({"type": "ü" * 127, "state_key": "x" * 255, "sender": None}, ROOM_VERSIONS["1"])
    for field in ("sender", "room_id", "type", "state_key", "event_id"):
        for text in ("x" * 256, "ü" * 128, "\U0001f600" * 64):
            with pytest.raises(EventTooLarge):
                check_field_bytes({field: text}, ROOM_VERSIONS["1"])


# --- Anything at all ----------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(ALL_VERSIONS), st.dictionaries(st.sampled_from(sorted(a_pdu(V1, state_key=""))), ANY_JSON))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_mallory_sends_anything_and_gets_an_error_or_an_event(name: str, changes: dict[str, Any]) -> None:
    version = ROOM_VERSIONS[name]
    for pdu in (changes, a_pdu(version, **changes), {**a_pdu(version), "content": {"anything": changes}}):
        try:
            event = parse_pdu(pdu, version)
        except MatrixError:
            continue
        assert event.event_id.startswith("$")


@given(ANY_JSON)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_any_json_is_an_event_or_an_error(value: Any) -> None:
    for version in (V1, V11, V12):
        with pytest.raises(MatrixError):
            parse_pdu(value, version)
