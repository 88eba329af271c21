"""Glob patterns of push conditions, matched in linear time.

Appendices, "Glob-style matching": ``*`` matches zero or more characters, ``?`` exactly one. A pattern is cut at its
stars into pieces of fixed length, which are then found one after the other, each as far left as possible. Because a
star spans anything, the leftmost place of a piece is never a wrong choice: there is nothing to backtrack into, so no
pattern can make the server think for longer than (length of pattern) x (length of text).

Both sides are lower-cased; the spec leaves the exact meaning of "case-insensitive" to the homeserver.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_PATTERN_LENGTH: Final = 255

WORD: Final = "[a-z0-9_]"
_PURE_WORD: Final = re.compile(rf"{WORD}+", re.ASCII)
# A substring starts at a word boundary where nothing or a non-word character comes before it, or where it begins with
# a non-word character itself ("@room" in "hey@room"); likewise at its end.
_STARTS_AT_BOUNDARY: Final = rf"(?:(?<!{WORD})|(?!{WORD}))"
_ENDS_AT_BOUNDARY: Final = rf"(?:(?!{WORD})|(?<!{WORD}))"

Matcher = Callable[[str], bool]
"""Takes a lower-cased text and says whether the pattern matches it."""


def words_of(lowered: str) -> frozenset[str]:
    """All words of a lower-cased text: what a pattern of nothing but word characters can match."""
    return frozenset(_PURE_WORD.findall(lowered))


def as_word(pattern: str) -> str | None:
    """The lower-cased pattern where it is one plain word, so that looking into ``words_of`` decides it; else None."""
    lowered = pattern.lower()
    return lowered if _PURE_WORD.fullmatch(lowered) else None


def has_wildcards(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def compile_glob(pattern: str) -> Matcher:
    """Match the entire text (``event_match`` on everything but ``content.body``)."""
    pieces = pattern.lower().split("*")
    if not has_wildcards(pattern):
        return pieces[0].__eq__
    first, last = _piece(pieces[0], at="start"), _piece(pieces[-1], at="end")
    if len(pieces) == 1:
        whole = re.compile(_regex(pieces[0]), re.DOTALL)
        return lambda text: whole.fullmatch(text) is not None
    middles = tuple(_piece(piece) for piece in pieces[1:-1] if piece)
    head, tail = len(pieces[0]), len(pieces[-1])

    def matches(text: str) -> bool:
        end = len(text) - tail
        if end < head or first(text, 0) < 0 or last(text, end) < 0:
            return False
        return _find_in_order(middles, text, head, end) >= 0

    return matches


def compile_word_glob(pattern: str) -> Matcher:
    """Match any substring that starts and ends at a word boundary (``content.body``, rules of kind ``content``)."""
    pieces = pattern.lower().split("*")
    if len(pieces) == 1:
        return _single_word_matcher(pieces[0])
    first = _boundary_piece(pieces[0], start=True) if pieces[0] else None
    last = _boundary_piece(pieces[-1], end=True) if pieces[-1] else None
    middles = tuple(_piece(piece) for piece in pieces[1:-1] if piece)

    def matches(text: str) -> bool:
        position = 0
        if first is not None:
            found = first.search(text)
            if found is None:
                return False
            position = found.end()
        position = _find_in_order(middles, text, position, len(text))
        return position >= 0 and (last is None or last.search(text, position) is not None)

    return matches


Finder = Callable[[str, int], int]
"""Takes a text and a start; gives the end of the leftmost match from there, or -1."""


def _find_in_order(pieces: tuple[Finder, ...], text: str, position: int, end: int) -> int:
    for find in pieces:
        position = find(text, position)
        if position < 0 or position > end:
            return -1
    return position


def _single_word_matcher(piece: str) -> Matcher:
    bounded = _boundary_piece(piece, start=True, end=True)
    if "?" in piece:
        return lambda text: bounded.search(text) is not None
    # Looking for the plain text first is many times faster than the expression, and mostly the answer is no.
    return lambda text: piece in text and bounded.search(text) is not None


def _piece(piece: str, at: str = "") -> Finder:
    length = len(piece)
    if "?" in piece:
        expression = re.compile(_regex(piece), re.DOTALL)
        return _anchored_expression(expression) if at else _searched_expression(expression)
    if at:
        return lambda text, start: start + length if text.startswith(piece, start) else -1
    return lambda text, start: found + length if (found := text.find(piece, start)) >= 0 else -1


def _anchored_expression(expression: re.Pattern[str]) -> Finder:
    return lambda text, start: found.end() if (found := expression.match(text, start)) else -1


def _searched_expression(expression: re.Pattern[str]) -> Finder:
    return lambda text, start: found.end() if (found := expression.search(text, start)) else -1


def _boundary_piece(piece: str, *, start: bool = False, end: bool = False) -> re.Pattern[str]:
    before = _STARTS_AT_BOUNDARY if start else ""
    after = _ENDS_AT_BOUNDARY if end else ""
    return re.compile(before + _regex(piece) + after, re.DOTALL | re.ASCII)


def _regex(piece: str) -> str:
    """A piece without stars as a regular expression of fixed length."""
    return "".join("." if character == "?" else re.escape(character) for character in piece)
