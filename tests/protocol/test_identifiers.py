"""The grammar of identifiers (appendices, "Identifier Grammar")."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.errors import InvalidParam, InvalidUsername
from homeserver.protocol.identifiers import (
    RoomId,
    ServerAddress,
    UserId,
    check_event_id,
    check_new_localpart,
    escape_localpart,
    is_compliant_user_id,
    is_event_id,
    is_hash_id,
    is_namespaced_identifier,
    is_opaque_identifier,
    is_room_alias,
    is_room_id,
    is_server_name,
    is_user_id,
    parse_room_alias,
    parse_room_id,
    parse_server_name,
    parse_user_id,
    server_name_of,
    utf8_length,
)

HASH = "Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"
NO_STRINGS = [None, 5, [], {}, True, b"@a:b"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("matrix.org", ServerAddress("matrix.org", None, False)),
        ("matrix.org:8888", ServerAddress("matrix.org", 8888, False)),
        ("1.2.3.4", ServerAddress("1.2.3.4", None, True)),
        ("1.2.3.4:1234", ServerAddress("1.2.3.4", 1234, True)),
        ("[1234:5678::abcd]", ServerAddress("1234:5678::abcd", None, True)),
        ("[1234:5678::abcd]:5678", ServerAddress("1234:5678::abcd", 5678, True)),
        ("localhost", ServerAddress("localhost", None, False)),
    ],
)
def test_the_server_names_of_the_spec(name: str, address: ServerAddress) -> None:
    assert parse_server_name(name) == address
    assert is_server_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":80",
        "a b",
        "a/b",
        "a_b",
        "example.org:",
        "example.org:port",
        "example.org:123456",
        "example.org:65536",
        "[::1",
        "[::1]x",
        "[hello]",
        "[:::]",
        "1.2.3.400",
        "exämple.org",
        "example.org\n",
        "a" * 256,
        "example.org:٣",
    ],
)
def test_what_is_no_server_name(name: str) -> None:
    assert not is_server_name(name)
    with pytest.raises(InvalidParam):
        parse_server_name(name)


@pytest.mark.parametrize("user_id", ["@alice:example.org", "@:a", "@A!ice ü:a:80", "@\x01:a", "@a:[::1]:8448"])
def test_historical_user_ids_are_accepted(user_id: str) -> None:
    assert is_user_id(user_id)
    assert str(parse_user_id(user_id)) == user_id


@pytest.mark.parametrize(
    "user_id", ["", "@", "alice:example.org", "#alice:example.org", "@alice", "@a\0b:c", "@a\ud800:c", "@a:", "@a:b c"]
)
def test_what_is_no_user_id(user_id: str) -> None:
    assert not is_user_id(user_id)
    with pytest.raises(InvalidParam):
        parse_user_id(user_id)


@pytest.mark.parametrize("check", [is_user_id, is_room_id, is_room_alias, is_event_id, is_compliant_user_id])
@pytest.mark.parametrize("value", NO_STRINGS)
def test_what_is_no_text_is_no_identifier(check: Callable[[object], bool], value: object) -> None:
    assert not check(value)


@pytest.mark.parametrize("sigil_and_check", [("@", is_user_id), ("!", is_room_id), ("#", is_room_alias)])
def test_identifiers_have_255_bytes_at_most(sigil_and_check: tuple[str, Callable[[object], bool]]) -> None:
    sigil, check = sigil_and_check
    assert check(f"{sigil}{'a' * 252}:b")
    assert not check(f"{sigil}{'a' * 253}:b")
    assert check(f"{sigil}{'ü' * 126}:b")
    assert not check(f"{sigil}{'ü' * 127}:b")


def test_the_parts_of_a_user_id_are_cut_at_the_first_colon() -> None:
    assert parse_user_id("@alice:example.org:8448") == UserId("alice", "example.org:8448")
    assert server_name_of("@alice:example.org:8448") == "example.org:8448"


@pytest.mark.parametrize("identifier", ["@alice", "!hash", "@alice:"])
def test_some_identifiers_have_no_server_name(identifier: str) -> None:
    with pytest.raises(InvalidParam):
        server_name_of(identifier)


@pytest.mark.parametrize(
    ("user_id", "compliant"),
    [("@alice:a", True), ("@A!ice~:a", True), ("@:a", False), ("@a b:a", False), ("@ä:a", False), ("alice", False)],
)
def test_non_compliant_user_ids_stay_in_events(user_id: str, compliant: bool) -> None:
    assert is_compliant_user_id(user_id) is compliant


@pytest.mark.parametrize("localpart", ["alice", "a.b_c=d-e/f+g", "0"])
def test_new_accounts_follow_the_strict_grammar(localpart: str) -> None:
    assert check_new_localpart(localpart, "example.org") == f"@{localpart}:example.org"


@pytest.mark.parametrize("localpart", ["", "Alice", "a b", "ä", "a:b", "a\n", "a*", "a" * 250])
def test_new_accounts_may_not_have_any_name(localpart: str) -> None:
    with pytest.raises(InvalidUsername):
        check_new_localpart(localpart, "example.org")


@pytest.mark.parametrize(("text", "escaped"), [("Alice", "alice"), ("#", "=23"), ("á", "=c3=a1"), ("a=b", "a=3db")])
def test_other_character_sets_are_mapped_as_the_spec_suggests(text: str, escaped: str) -> None:
    assert escape_localpart(text) == escaped


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_a_mapped_localpart_is_always_allowed(text: str) -> None:
    assert check_new_localpart(escape_localpart(text), "b")


def test_room_ids_have_a_domain_or_are_a_hash() -> None:
    assert parse_room_id("!room:example.org") == RoomId("room", "example.org")
    assert parse_room_id(f"!{HASH}") == RoomId(HASH, None)
    assert [str(parse_room_id(text)) for text in ("!a:b", f"!{HASH}")] == ["!a:b", f"!{HASH}"]
    for wrong in ("!room", f"!{HASH}x", f"!{HASH[:-1]}", f"${HASH}", f"!{HASH[:-1]}+", ""):
        assert not is_room_id(wrong)
        with pytest.raises(InvalidParam):
            parse_room_id(wrong)


def test_room_aliases() -> None:
    assert parse_room_alias("#tea time ☕:example.org").localpart == "tea time ☕"
    assert str(parse_room_alias("#a:b")) == "#a:b"
    assert not is_room_alias("#no-server")
    with pytest.raises(InvalidParam):
        parse_room_alias("!a:b")


@pytest.mark.parametrize("event_id", [f"${HASH}", "$opaque:example.org", "$x", "$" + "ü" * 127])
def test_event_ids_of_all_room_versions(event_id: str) -> None:
    assert check_event_id(event_id) == event_id


@pytest.mark.parametrize("event_id", ["", "$", "x", "!a:b", "$" + "ü" * 128, "$a\0", "$\ud800"])
def test_what_is_no_event_id(event_id: str) -> None:
    with pytest.raises(InvalidParam):
        check_event_id(event_id)


def test_an_error_shows_a_bad_id_shortened_and_in_ascii() -> None:
    with pytest.raises(InvalidParam) as caught:
        parse_user_id("ä\ud800" * 300)
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 800


def test_hash_ids() -> None:
    assert is_hash_id(f"${HASH}")
    assert is_hash_id(f"!{HASH}")
    assert not is_hash_id("$opaque:example.org")


def test_other_grammars() -> None:
    assert is_namespaced_identifier("m.room.message")
    assert not is_namespaced_identifier("M.room")
    assert not is_namespaced_identifier("1a")
    assert not is_namespaced_identifier("a" * 256)
    assert is_opaque_identifier("aZ0._~-")
    assert not is_opaque_identifier("a b")
    assert not is_opaque_identifier("")


@given(st.text(max_size=30))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_bytes_are_counted_without_failing(text: str) -> None:
    assert utf8_length(text) == len(text.encode("utf-8", "surrogatepass"))
    for check in (is_user_id, is_room_id, is_room_alias, is_event_id, is_compliant_user_id):
        for sigil in "@!#$":
            check(sigil + text + ":a")
