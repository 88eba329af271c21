"""Words of texts and of questions: cut the same way, and nothing else comes through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.protocol.errors import InvalidParam
from homeserver.services.search.entries import MAX_WORDS, entry_words
from homeserver.services.search.highlights import highlights
from homeserver.services.search.terms import MAX_TERM_CHARACTERS, parse_term
from homeserver.services.search.words import fold, words_of
from homeserver.services.user_directory.names import folded_names, grams_of, parse_name_term


def words(text: str) -> list[str]:
    return [word.text for word in words_of(fold(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World! don't", ["hello", "world", "don", "t"]),
        ("Ünïcödé Straße Ёлка İstanbul", ["unicode", "strasse", "елка", "istanbul"]),
        ("snake_case a/b x@y.z", ["snake", "case", "a", "b", "x", "y", "z"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー", "ー"]),
        ("東京tower", ["東京", "京", "tower"]),
        ("がか", ["がか", "か"]),
        ("हिन्दी में", ["हिनदी", "म"]),
        ("한국어 가", ["한국어", "가"]),
        ("🎉🎉 party", ["🎉", "🎉", "party"]),
        ("ﬁne ①", ["fine", "1"]),
        ("x" * 100, ["x" * 64]),
        ("--- !!! \n\t", []),
    ],
)
def test_texts_as_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("term", "query"),
    [
        ("hello world ", "(('hello')) & (('world'))"),
        ("hello world", "(('hello')) & (('world':*))"),
        ("wo", "(('wo'))"),
        ('"hello world"', "(('hello' <-> 'world'))"),
        ('"never closed', "(('never' <-> 'closed'))"),
        ("foo-bar.", "(('foo' <-> 'bar'))"),
        ("a or b or c d ", "(('a') | ('b') | ('c')) & (('d'))"),
        ("or a ", "(('a'))"),
        ("a -b", "(('a')) & (!('b'))"),
        ("a or -b", "(('a')) & (!('b'))"),
        ('a -"b c"', "(('a')) & (!('b' <-> 'c'))"),
        ("東京タワー", "(('東京' <-> '京タ' <-> 'タワ' <-> 'ワー'))"),
        ("京", "(('京':*))"),
        ("-a", None),
        ("' \\ & | ! ( ) <-> :* ", None),
        ("", None),
    ],
)
def test_terms_as_queries(term: str, query: str | None) -> None:
    assert parse_term(term).query == query


SAFE = re.compile(r"[()!&|* ]|<->|'[^'\\\s:&|!()*<>]+'(?::\*)?|:\*")


@given(st.text(max_size=MAX_TERM_CHARACTERS))
def test_queries_have_no_operators_but_ours(term: str) -> None:
    query = parse_term(term).query or ""
    assert SAFE.sub("", query) == ""
    assert query.count("'") <= 2 * 64


@given(st.text(min_size=1, max_size=200))
def test_whoever_copies_a_text_finds_it(text: str) -> None:
    """Every phrase of the question is among the words of the text, in this order."""
    text = text.replace('"', " ").replace("-", " ")
    if "or" in fold(text).split() or "|" in text:
        return
    there = words(text)
    for phrase in parse_term(text).wanted:
        size = len(phrase.words)
        wanted = list(phrase.words)
        assert any(
            there[start : start + size - 1] == wanted[:-1] and there[start + size - 1].startswith(wanted[-1])
            for start in range(len(there) - size + 1)
        )


def test_terms_that_are_too_long() -> None:
    with pytest.raises(InvalidParam):
        parse_term("a" * (MAX_TERM_CHARACTERS + 1))
    assert len(parse_term("a " * 500).wanted) == 64


def test_entries_are_bounded_and_need_no_escapes() -> None:
    entry = entry_words(
        "m.room.message", None, "@o'brien\\:test", 7, {"body": "don't 'x'\\ " + "w " * 10_000, "url": 1}
    )
    assert entry is not None
    assert "\\" not in entry
    assert entry.count(",") < MAX_WORDS
    assert entry.endswith("'#b' '#u'")
    assert "'!7'" in entry
    for nothing in ({}, {"body": 5}, {"body": ""}, {"body": "..."}):
        assert entry_words("m.room.message", None, "@a:b", 7, nothing) is None
    assert entry_words("m.room.message", "", "@a:b", 7, {"body": "state"}) is None
    assert entry_words("m.room.name", "not empty", "@a:b", 7, {"name": "x"}) is None


def test_highlights_are_words_as_they_stand() -> None:
    term = parse_term("cafe 東京 wor")
    assert highlights(term, ["Café in 東京タワー", "World wide words, not sword"]) == ["東京", "café", "world", "words"]
    assert highlights(parse_term("a -b"), ["a b"]) == ["a"]


@given(st.text(max_size=40), st.data())
def test_any_part_of_a_name_of_three_characters_is_found(name: str, data: st.DataObject) -> None:
    names = folded_names("@local:test", name)
    for word in names.split():
        if len(word) >= 3:
            start = data.draw(st.integers(0, len(word) - 3))
            part = word[start : start + 3]
            assert set(parse_name_term(part).grams) <= set(grams_of(names)) or fold(part) != part or "@" in part
