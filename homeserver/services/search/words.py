"""Text as words, the same for what is indexed and for what is looked for. Pure.

PostgreSQL's own parser is not asked: what it makes of a text depends on the database's locale, it takes "a/b" for a file,
and it sees one word in a whole Japanese sentence. `fold` makes letters that people take for the same the same: capitals,
accents, compatibility forms. Scripts without spaces are cut into pairs of neighbouring characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_WORD_CHARACTERS: Final = 64
"""Longer words are cut, in texts and in questions."""

# Thai, Lao, Myanmar, Khmer, Kana, Han: runs of them are no words.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f"
)
_SYMBOLS: Final = "\u2600-\u27bf\U0001f000-\U0001faff"
# Vowel signs of India's scripts, which `\\w` leaves out.
_SIGNS: Final = "\u0900-\u0dff"
_PIECE: Final = re.compile(f"[{_UNSPACED}]+|[{_SYMBOLS}]|(?:(?![{_UNSPACED}])(?:[^\\W_]|[{_SIGNS}]))+")
_ASCII_PIECE: Final = re.compile("[a-z0-9]+")
_UNSPACED_PIECE: Final = re.compile(f"[{_UNSPACED}]")
# Marks that make another letter of a Kana, rather than an accented one.
_VOICED: Final = "\u3099\u309a"


class Word(NamedTuple):
    """A folded word, and where it stands among the words of its text. `start`, `end`: in the folded text."""

    text: str
    place: int
    start: int
    end: int


def fold(text: str) -> str:
    """The text with what people do not look at taken away."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(each for each in decomposed if each in _VOICED or unicodedata.category(each) != "Mn")
    return unicodedata.normalize("NFKC", kept)


def words_of(folded: str) -> Iterator[Word]:
    """The words of a folded text, in order."""
    if folded.isascii():
        for place, match in enumerate(_ASCII_PIECE.finditer(folded), 1):
            yield Word(match[0][:MAX_WORD_CHARACTERS], place, match.start(), match.end())
        return
    place = 0
    for match in _PIECE.finditer(folded):
        text, start, end = match[0], match.start(), match.end()
        if is_unspaced(text):
            for index in range(start, end):
                place += 1
                # The last character alone: whoever looks for one character finds pairs that begin with it, and this.
                yield Word(folded[index : min(index + 2, end)], place, index, min(index + 2, end))
        else:
            place += 1
            yield Word(text[:MAX_WORD_CHARACTERS], place, start, end)


def pieces_of(text: str) -> Iterator[str]:
    """Words of a text as it stands, runs of scripts without spaces whole."""
    return (match[0] for match in _PIECE.finditer(text))


def is_unspaced(piece: str) -> bool:
    """Whether a piece, which is all of one kind, is of a script without spaces."""
    return _UNSPACED_PIECE.match(piece) is not None
