"""What a filter includes and excludes: names, or patterns of event types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

EMPTY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """`senders` and `not_senders`, `rooms` and `not_rooms`. `only` is None where the list is absent."""

    only: frozenset[str] | None = None
    excluded: frozenset[str] = EMPTY

    def includes(self, name: str) -> bool:
        """ "A matching sender will be excluded even if it is listed in the `senders` filter." """
        return name not in self.excluded and (self.only is None or name in self.only)

    @property
    def is_open(self) -> bool:
        """Whether everything is included."""
        return self.only is None and not self.excluded


@dataclass(frozen=True, slots=True)
class TypePatterns:
    """Event types; "A `*` can be used as a wildcard to match any sequence of characters."

    `names` are those without a star, `wildcards` the others.
    """

    names: frozenset[str] = EMPTY
    wildcards: tuple[str, ...] = ()
    _pieces: tuple[tuple[str, ...], ...] = field(default=(), repr=False)

    @staticmethod
    def of(patterns: Sequence[str]) -> TypePatterns:
        """The patterns, ready to match."""
        names = frozenset(pattern for pattern in patterns if "*" not in pattern)
        wildcards = tuple(pattern for pattern in patterns if "*" in pattern)
        return TypePatterns(names, wildcards, tuple(tuple(pattern.split("*")) for pattern in wildcards))

    def match(self, event_type: str) -> bool:
        """Whether any pattern matches the whole type."""
        return event_type in self.names or any(_matches(pieces, event_type) for pieces in self._pieces)


@dataclass(frozen=True, slots=True)
class TypeChoice:
    """`types` and `not_types`. `only` is None where the list is absent."""

    only: TypePatterns | None = None
    excluded: TypePatterns = TypePatterns()

    def includes(self, event_type: str) -> bool:
        """ "A matching type will be excluded even if it is listed in the `types` filter." """
        return not self.excluded.match(event_type) and (self.only is None or self.only.match(event_type))

    @property
    def is_open(self) -> bool:
        """Whether everything is included."""
        return self.only is None and self.excluded == TypePatterns()


ANY: Final = Choice()
ANY_TYPE: Final = TypeChoice()


def _matches(pieces: tuple[str, ...], text: str) -> bool:
    """Whether the text is these pieces with anything between them.

    Each piece is taken where it is found first: a star spans anything, so a later place is never a better choice, and
    nothing is ever tried twice.
    """
    first, *middles, last = pieces
    position, end = len(first), len(text) - len(last)
    if end < position or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middles:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
