"""Which words of what was found a client is to highlight. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from homeserver.services.search.terms import Phrase, Term
from homeserver.services.search.words import MAX_WORD_CHARACTERS, fold, is_unspaced, pieces_of

MAX_HIGHLIGHTS: Final = 100
MAX_CHARACTERS: Final = 16_384
"""Of one text that are looked at."""


def highlights(term: Term, texts: Iterable[str]) -> list[str]:
    """Words as they stand in the texts: "useful for stemming which may change the query terms"; here it is folding."""
    wanted = term.wanted
    words = {word for phrase in wanted for word in (phrase.words[:-1] if phrase.prefix else phrase.words)}
    beginnings = tuple(phrase.words[-1] for phrase in wanted if phrase.prefix)
    runs = [run for phrase in wanted if (run := _run(phrase))]
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(run for run in runs if run in text))
        for piece in pieces_of(text[:MAX_CHARACTERS]):
            folded = fold(piece)[:MAX_WORD_CHARACTERS]
            if folded in words or (beginnings and folded.startswith(beginnings)):
                found.setdefault(piece.lower())
    return list(found)[:MAX_HIGHLIGHTS]


def _run(phrase: Phrase) -> str | None:
    """What was cut into pairs, whole again."""
    if not all(is_unspaced(word) for word in phrase.words):
        return None
    return phrase.words[0] + "".join(word[1:] for word in phrase.words[1:])
