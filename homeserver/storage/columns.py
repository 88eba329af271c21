"""Rows on their way into a statement: given as tuples, sent as parallel arrays for one unnest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Columns:
    """Rows of `width` values each."""

    width: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def arrays(self) -> list[list[Any]]:
        return (
            [list(column) for column in zip(*self.rows, strict=True)] if self.rows else [[] for _ in range(self.width)]
        )


def array_text(numbers: Sequence[int]) -> str:
    """An array as text, '{1,2}': arrays of different lengths do not fit into one array."""
    return "{" + ",".join(map(str, numbers)) + "}"
