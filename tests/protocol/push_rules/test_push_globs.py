"""Glob patterns: the examples of the spec, word boundaries, a slow reference, and time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.push_rules.globs import (
    MAX_PATTERN_LENGTH,
    as_word,
    compile_glob,
    compile_word_glob,
    has_wildcards,
    words_of,
)
from homeserver.protocol.push_rules.paths import parse_path


def matches(pattern: str, text: str) -> bool:
    return compile_glob(pattern)(text.lower())


def matches_word(pattern: str, text: str) -> bool:
    return compile_word_glob(pattern)(text.lower())


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("lunc?*", "Lunch plans", True),
        ("lunc?*", "LUNCH", True),
        ("lunc?*", " lunch", False),
        ("lunc?*", "lunc", False),
        ("", "", True),
        ("", "x", False),
        ("*", "", True),
        ("*", "anything\nat all", True),
        ("?", "", False),
        ("?", "é", True),
        ("??", "a", False),
        ("a*b*c", "aXXbYYc", True),
        ("a*b*c", "acb", False),
        ("a*a", "a", False),
        ("*ab*ab", "ab", False),
        ("*ab*ab", "abab", True),
        ("a.c", "abc", False),
        ("[a]*", "[A]b", True),
        ("m.room.*", "m.room.message", True),
        ("m.room.*", "mXroom.message", False),
        ("**a**", "a", True),
    ],
)
def test_the_whole_text_must_match(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("ex*ple", "An example event.", True),
        ("ex*ple", "exple", True),
        ("ex*ple", "An exciting triple-whammy", True),
        ("ex*ple", "An examples event", False),
        ("ex*ple", "unexample", False),
        ("cake", "Cake!", True),
        ("cake", "(cake)", True),
        ("cake", "cakes", False),
        ("cake", "cake_is", False),
        ("cake", "cheesecake and cake", True),
        ("cake*lie", "the cake is a lie", True),
        ("cake*lie", "the cake is a lied", False),
        ("c?ke", "coke", True),
        ("c?ke", "cooke", False),
        ("@room", "hey@room", True),
        ("@room", "hey @rooms", False),
        ("*cake", "cheesecake", True),
        ("cake*", "cakes", True),
        ("", "", True),
        ("*", "x", True),
        ("bob", "böbob", True),  # ö is none of the word characters
    ],
)
def test_a_body_matches_between_word_boundaries(pattern: str, text: str, expected: bool) -> None:
    assert matches_word(pattern, text) is expected


def test_plain_words_are_looked_up_instead_of_searched() -> None:
    assert as_word("Cake_1") == "cake_1"
    assert [as_word(pattern) for pattern in ("", "two words", "c*ke", "c?ke", "ä", "@room")] == [None] * 6
    assert words_of("the cake, it's a_lie 4ever") == {"the", "cake", "it", "s", "a_lie", "4ever"}
    assert has_wildcards("a*")
    assert has_wildcards("?")
    assert not has_wildcards("a.b")


ALPHABET = "ab_ .*?"
PATTERNS = st.text(ALPHABET, max_size=7)
TEXTS = st.text("ab_ .", max_size=9)


def slow_glob(pattern: str, text: str) -> bool:
    """The definition, as a regular expression that backtracks."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def slow_word_glob(pattern: str, text: str) -> bool:
    """Every substring that starts and ends at a boundary is tried.

    A boundary: "the start or end of the value, or any character not in the sets [A-Z], [a-z], [0-9] or _", whether that
    is beside the substring or its own outermost character.
    """

    def is_word(index: int) -> bool:
        return 0 <= index < len(text) and re.match(r"\w", text[index], re.ASCII) is not None

    def at_boundary(index: int) -> bool:
        return not (is_word(index - 1) and is_word(index))

    spots = [index for index in range(len(text) + 1) if at_boundary(index)]
    return any(slow_glob(pattern, text[start:end]) for start in spots for end in spots if start <= end)


@given(PATTERNS, TEXTS)
@settings(max_examples=250, derandomize=True, deadline=None)
def test_globs_agree_with_the_definition(pattern: str, text: str) -> None:
    assert matches(pattern, text) is slow_glob(pattern, text)


@given(PATTERNS, TEXTS)
@settings(max_examples=250, derandomize=True, deadline=None)
def test_word_globs_agree_with_the_definition(pattern: str, text: str) -> None:
    assert matches_word(pattern, text) is slow_word_glob(pattern, text)
    if (word := as_word(pattern)) is not None:
        assert (word in words_of(text)) is slow_word_glob(pattern, text)


@pytest.mark.parametrize("pattern", ["a*" * 126 + "b", "*a?" * 85, "?*" * 127])
def test_mallory_cannot_make_a_pattern_slow(pattern: str) -> None:
    assert len(pattern) <= MAX_PATTERN_LENGTH
    started = time.process_time()
    matches(pattern, "a" * 60_000)
    matches_word(pattern, "a" * 60_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("content.body", ("content", "body")),
        (r"content.m\.relates_to.rel_type", ("content", "m.relates_to", "rel_type")),
        (r"content.m\\foo", ("content", r"m\foo")),
        (r"content.m\x", ("content", r"m\x")),
        ("type", ("type",)),
        ("", ("",)),
        ("a..b", ("a", "", "b")),
        ("a\\", ("a\\",)),
    ],
)
def test_dot_separated_paths(path: str, names: tuple[str, ...]) -> None:
    assert parse_path(path) == names
