"""What a filter includes and excludes: names, or patterns of event types."""

from __future__ import annotations

import re
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
    _wildcard: re.Pattern[str] | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(patterns: list[str]) -> TypePatterns:
        """The patterns, ready to match."""
        wildcards = tuple(pattern for pattern in patterns if "*" in pattern)
        names = frozenset(pattern for pattern in patterns if "*" not in pattern)
        return TypePatterns(names, wildcards, _compile(wildcards) if wildcards else None)

    def match(self, event_type: str) -> bool:
        """Whether any pattern matches the whole type."""
        return event_type in self.names or (
            self._wildcard is not None and self._wildcard.fullmatch(event_type) is not None
        )


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


def _compile(wildcards: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, wildcards)), re.DOTALL)


def _expression(pattern: str) -> str:
    """One pattern as a regular expression that matches in time linear in the type.

    Each piece between stars is taken where it is found first and never given back (an atomic group): a star spans
    anything, so a later place cannot be a better choice. Only the last piece must stand at the end.
    """
    first, *middles, last = pattern.split("*")
    searched = "".join(f"(?>.*?{re.escape(piece)})" for piece in middles if piece)
    return f"{re.escape(first)}{searched}.*{re.escape(last)}"
