"""What statements are made of: rows on their way into one, as parallel arrays for one unnest, and common expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SERVER_OF = "substring({0} FROM position(':' IN {0}) + 1)"
"""The server of the user id {0}: what follows the first colon, for a port has one too. As the index memberships_server
has it: the same written otherwise would not find that index.
"""

RELATED_BIT = """CASE WHEN EXISTS (
        SELECT FROM relations r
        WHERE r.parent_id = {0} AND r.room_nid = {1} AND r.rel_type IN ('m.thread', 'm.replace', 'm.reference')
    ) THEN 512 ELSE 0 END"""
"""The bit of `events.flags` that relations set (migration 0024), for an event that may come after what relates to it."""


MEMBERSHIP_IN = r"replace(convert_from({0}, 'UTF8'), '\u0000', '\ufffd')::json #>> '{{content,membership}}'"
"""The membership of the event whose body {0} is. Anybody may write NUL characters into what he says, with which PostgreSQL
would read nothing of it at all.
"""


@dataclass(slots=True)
class Columns:
    """Rows of `width` values each."""

    width: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def parts(self, size: int) -> list[Columns]:
        """The same rows in pieces of at most `size`; one that is empty where there are none."""
        starts = range(0, max(1, len(self.rows)), size)
        return [Columns(self.width, self.rows[start : start + size]) for start in starts]

    def arrays(self) -> list[list[Any]]:
        return (
            [list(column) for column in zip(*self.rows, strict=True)] if self.rows else [[] for _ in range(self.width)]
        )


def array_text(numbers: Sequence[int]) -> str:
    """An array as text, '{1,2}': arrays of different lengths do not fit into one array."""
    return "{" + ",".join(map(str, numbers)) + "}"
