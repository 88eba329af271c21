"""Canonical JSON: the vectors of the appendices, what is refused, and that encoding is stable."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.canonical_json import (
    MAX_DEPTH,
    MAX_INTEGER,
    check_canonical,
    decode_json,
    decode_lenient,
    encode_canonical,
    encode_checked,
    integers_from_floats,
)
from homeserver.protocol.errors import BadJson, MatrixError, NotJson

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)

# Appendices, "Canonical JSON", "Examples".
SPEC_EXAMPLES = [
    ("{}", "{}"),
    ('{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'),
    ('{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'),
    ('{"b":"2","a":"1"}', '{"a":"1","b":"2"}'),
    (
        """{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
        "three_pids": [{"medium": "email", "address": "john.doe@example.org"},
                       {"medium": "msisdn", "address": "123456789"}]}}}""",
        '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":'
        '[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},'
        '"success":true}}',
    ),
    ('{"a": "日本語"}', '{"a":"日本語"}'),
    ('{"本": 2, "日": 1}', '{"日":1,"本":2}'),
    ('{"a": "\\u65E5"}', '{"a":"日"}'),
    ('{"a": null}', '{"a":null}'),
    ('{"a": -0, "b": 1e10}', '{"a":0,"b":10000000000}'),
]


@pytest.mark.parametrize(("given_json", "expected"), SPEC_EXAMPLES)
def test_the_examples_of_the_spec(given_json: str, expected: str) -> None:
    assert encode_canonical(integers_from_floats(decode_json(given_json))) == expected.encode()


@pytest.mark.parametrize(
    ("character", "written"),
    [
        ("\b", r"\b"),
        ("\t", r"\t"),
        ("\n", r"\n"),
        ("\f", r"\f"),
        ("\r", r"\r"),
        ('"', r"\""),
        ("\\", r"\\"),
        ("\x00", r"\u0000"),
        ("\x0b", r"\u000b"),
        ("\x1f", r"\u001f"),
        ("/", "/"),
        ("\x7f", "\x7f"),
        ("\u2028", "\u2028"),
        ("\U0010ffff", "\U0010ffff"),
    ],
)
def test_characters_are_escaped_as_the_grammar_says(character: str, written: str) -> None:
    assert encode_canonical(character) == f'"{written}"'.encode()


def test_keys_are_sorted_by_code_point_not_by_utf_16() -> None:
    assert encode_canonical({"\U00010000": 1, "\uffff": 2}) == '{"\uffff":2,"\U00010000":1}'.encode()


@pytest.mark.parametrize("value", [1.5, 1.0, -0.0, float("nan"), float("inf"), MAX_INTEGER + 1, -MAX_INTEGER - 1])
def test_floats_and_integers_out_of_range_are_refused_at_any_depth(value: float) -> None:
    for wrapped in (value, [value], {"a": {"b": [value]}}, (value,)):
        with pytest.raises(BadJson):
            check_canonical(wrapped)


@pytest.mark.parametrize("value", [MAX_INTEGER, -MAX_INTEGER])
def test_the_limits_of_the_integers_belong_to_the_range(value: int) -> None:
    assert encode_canonical(value) == str(value).encode()


@pytest.mark.parametrize("value", ["\ud800", {"\udc00": 1}, b"bytes", {1: 2}, {"a": {1, 2}}, object()])
def test_what_is_no_json_is_refused(value: Any) -> None:
    for strict in (True, False):
        with pytest.raises(BadJson):
            encode_canonical([value], strict=strict)


def test_old_rooms_may_hold_any_number() -> None:
    assert encode_canonical({"b": 2**70, "a": 1.5}, strict=False) == b'{"a":1.5,"b":1180591620717411303424}'
    assert decode_lenient('{"b":1180591620717411303424}') == {"b": 2**70}
    with pytest.raises(BadJson):
        encode_canonical({"a": float("inf")}, strict=False)


def test_a_surrogate_beside_an_odd_number_is_still_refused() -> None:
    with pytest.raises(BadJson):
        encode_canonical({"a": 1.5, "b": "\ud800"}, strict=False)


def test_nesting_is_limited_when_reading_and_when_writing() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    encode_canonical(decode_json(deepest))
    too_deep = b"[" + deepest + b"]"
    for read in (decode_json, decode_lenient):
        with pytest.raises(BadJson):
            read(too_deep)
    with pytest.raises(BadJson):
        encode_canonical([decode_json(deepest)])


def test_many_brackets_in_a_flat_value_are_no_depth() -> None:
    assert decode_json(b"[" + b",".join([b"[]"] * 500) + b"]") == [[]] * 500


@pytest.mark.parametrize("data", [b"", b"{", b"nul", b"NaN", b"[Infinity]", b'"\\ud800"', b"\xff", b"{'a':1}", b"1 2"])
def test_what_is_not_json_is_not_read(data: bytes) -> None:
    for read in (decode_json, decode_lenient):
        with pytest.raises(NotJson):
            read(data)


def test_only_whole_floats_become_integers() -> None:
    assert integers_from_floats({"a": [1e3, 1.5, -0.0, 1e300], "b": True}) == {"a": [1000, 1.5, 0, 1e300], "b": True}


@given(VALUES)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_encoding_and_decoding_give_the_value_back(value: Any) -> None:
    encoded = encode_canonical(value)
    assert decode_json(encoded) == value
    assert encode_canonical(decode_json(encoded)) == encoded
    assert encode_checked(value) == encoded


@given(VALUES)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_encoding_agrees_with_the_code_of_the_spec(value: Any) -> None:
    reference = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8")
    assert encode_canonical(value) == reference
    assert encode_canonical(value, strict=False) == reference


@given(VALUES, st.floats() | st.integers(min_value=MAX_INTEGER + 1) | st.integers(max_value=-MAX_INTEGER - 1))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_an_odd_number_is_refused_wherever_it_hides(value: Any, odd: float) -> None:
    with pytest.raises(BadJson):
        encode_canonical({"ordinary": value, "hidden": [{"here": odd}]})


@given(st.binary(max_size=40) | st.text(max_size=40))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_reading_raises_nothing_but_matrix_errors(data: bytes | str) -> None:
    for read in (decode_json, decode_lenient):
        try:
            value = read(data)
        except MatrixError:
            continue
        assert value is None or isinstance(value, bool | int | float | str | list | dict)


@pytest.mark.parametrize("small", [b"[]", b"{}", b"1", b"[1]"])
def test_a_large_value_of_many_small_ones_is_read_quickly(small: bytes) -> None:
    """Everybody can send one before he is believed: a million containers take less than looking at each in Python."""
    text = b'{"a":[' + b",".join([small] * 300_000) + b"]}"
    began = time.process_time()
    decode_lenient(text)
    assert time.process_time() - began < 1
    deep = b'{"a":' * MAX_DEPTH + text + b"}" * MAX_DEPTH
    with pytest.raises(BadJson):
        decode_lenient(deep)
