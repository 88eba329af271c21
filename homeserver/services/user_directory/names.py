"""Names as they are looked into: folded, and cut into three characters each, so that an index finds any part. Pure.

PostgreSQL has an extension for this, which is not everywhere (decision 0018), and which leaves the cutting to the
database's locale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from homeserver.protocol.errors import InvalidParam
from homeserver.services.search.words import fold, is_unspaced, pieces_of

GRAM: Final = 3
MAX_NAME_CHARACTERS: Final = 256
"""Of a display name that are looked into."""
MAX_TERM_CHARACTERS: Final = 256
MAX_TERM_WORDS: Final = 8


class NameTerm(NamedTuple):
    """What somebody looks for: texts that all have to be there, and what the server's name begins with."""

    whole: str
    texts: Sequence[str]
    server_begins: str

    @property
    def grams(self) -> list[str]:
        """What the index is asked for."""
        return sorted({gram for text in self.texts for gram in _grams_of_text(text)})

    @property
    def whole_words(self) -> list[str]:
        """The same for those who have the very words."""
        return sorted({"=" + text for text in self.texts})


def parse_name_term(term: str) -> NameTerm:
    """`@local:server` looks for both. Raises InvalidParam where it is too long."""
    if len(term) > MAX_TERM_CHARACTERS:
        raise InvalidParam(f"'search_term' has at most {MAX_TERM_CHARACTERS} characters")
    folded = fold(term).strip()
    server = ""
    if folded.startswith("@"):
        folded, _, server = folded[1:].partition(":")
    texts = folded.split()
    return NameTerm(" ".join(texts), texts[:MAX_TERM_WORDS], server.strip())


def folded_names(user_id: str, displayname: str | None) -> str:
    """The localpart, and in the next line the display name."""
    localpart = user_id[1:].partition(":")[0]
    name = " ".join(fold((displayname or "")[:MAX_NAME_CHARACTERS]).split())
    return f"{' '.join(fold(localpart).split())}\n{name}"


def grams_of(names: str) -> list[str]:
    """Every three characters in a row within a word, what words begin with, and whole words."""
    found: set[str] = set()
    for word in names.split():
        found.add("=" + word)
        found.update(_threes(word))
        for piece in pieces_of(word):
            starts = range(len(piece)) if is_unspaced(piece) else (0,)
            found.update("^" + piece[start : start + size] for start in starts for size in (1, 2))
    return sorted(found)


def _grams_of_text(text: str) -> Iterator[str]:
    if len(text) < GRAM:
        yield "^" + text
    else:
        yield from _threes(text)


def _threes(text: str) -> Iterator[str]:
    return (text[start : start + GRAM] for start in range(len(text) - GRAM + 1))
