"""What people write into a search box, as a question to the index. Pure.

Words that all have to be there; "words in quotes" one behind the other; `or` between two; `-` before what must not be
there. As with the search engines that people know, nothing of it can be an error. What comes out is made of words that
`words_of` cut, so no operator of PostgreSQL can come in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from homeserver.protocol.errors import InvalidParam
from homeserver.services.search.words import Word, fold, is_unspaced, words_of

MAX_TERM_CHARACTERS: Final = 1_000
MAX_WORDS: Final = 64
MIN_PREFIX_CHARACTERS: Final = 3
"""The last word may be the beginning of one, from so many characters on: shorter ones would be half of all words."""

_CHUNK: Final = re.compile(r'(?P<minus>-?)(?:"(?P<quoted>[^"]*)"?|(?P<plain>[^\s"]+))')
_OR: Final = frozenset(("or", "|"))


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words one behind the other. `prefix`: the last is the beginning of a word. `not_there`: what must not be found."""

    words: Sequence[str]
    prefix: bool = False
    not_there: bool = False

    @property
    def query(self) -> str:
        """As PostgreSQL reads it."""
        last = f"'{self.words[-1]}'" + (":*" if self.prefix else "")
        joined = " <-> ".join([*(f"'{word}'" for word in self.words[:-1]), last])
        return f"!({joined})" if self.not_there else f"({joined})"


@dataclass(frozen=True, slots=True)
class Term:
    """Alternatives, all of which have to be found."""

    alternatives: Sequence[Sequence[Phrase]]

    @property
    def query(self) -> str | None:
        """As PostgreSQL reads it; None where there is nothing to look for."""
        if not any(not phrase.not_there for each in self.alternatives for phrase in each):
            return None
        return " & ".join("(" + " | ".join(phrase.query for phrase in each) + ")" for each in self.alternatives)

    @property
    def wanted(self) -> list[Phrase]:
        """Everything that people want to find: what it counts by, and what is highlighted."""
        return [phrase for each in self.alternatives for phrase in each if not phrase.not_there]

    @property
    def ranking(self) -> str:
        """What a match's rank is made of."""
        return " | ".join(phrase.query for phrase in self.wanted)


def parse_term(text: str) -> Term:
    """Raises InvalidParam where it is too long; what comes behind the first 64 words is passed over."""
    if len(text) > MAX_TERM_CHARACTERS:
        raise InvalidParam(f"'search_term' has at most {MAX_TERM_CHARACTERS} characters")
    folded = fold(text)
    alternatives: list[list[Phrase]] = []
    is_alternative, words_left = False, MAX_WORDS
    for chunk in _CHUNK.finditer(folded):
        if chunk["plain"] in _OR and not chunk["minus"]:
            is_alternative = bool(alternatives)
            continue
        words = list(words_of(chunk["quoted"] or chunk["plain"] or ""))[:words_left]
        if not words:
            continue
        words_left -= len(words)
        being_written = chunk["quoted"] is None and chunk.end() == len(folded) and words[-1].end == len(chunk["plain"])
        phrase = _phrase(words, being_written=being_written, not_there=bool(chunk["minus"]))
        if is_alternative and not phrase.not_there and not alternatives[-1][0].not_there:
            alternatives[-1].append(phrase)
        else:
            alternatives.append([phrase])
        is_alternative = False
    return Term(alternatives)


def _phrase(words: Sequence[Word], *, being_written: bool, not_there: bool) -> Phrase:
    texts = [word.text for word in words]
    if is_unspaced(texts[-1]):
        # Texts have the last character of a run by itself, and where more follows a pair that begins with it.
        if len(texts) > 1 and len(texts[-1]) == 1 and is_unspaced(texts[-2]):
            return Phrase(texts[:-1], not_there=not_there)
        return Phrase(texts, prefix=len(texts[-1]) == 1, not_there=not_there)
    is_prefix = being_written and not not_there and len(texts[-1]) >= MIN_PREFIX_CHARACTERS
    return Phrase(texts, prefix=is_prefix, not_there=not_there)
