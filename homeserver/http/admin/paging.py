"""How lists for administrators are asked for: an offset, a limit and a direction, as Synapse's tools know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from homeserver.http.query import Query

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
# Beyond any table of ours; keeps what follows within PostgreSQL's numbers.
MAX_OFFSET: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page begins, how long it may be, and whether the order is turned round."""

    offset: int
    limit: int
    descending: bool


def paging_of(query: Query, *, direction: str = "f") -> Paging:
    """`from`, `limit` and `dir`. Raises InvalidParam."""
    return Paging(
        offset=query.integer("from", 0, minimum=0, maximum=MAX_OFFSET),
        limit=query.integer("limit", DEFAULT_LIMIT, minimum=0, maximum=MAX_LIMIT),
        descending=query.one_of("dir", ("f", "b"), direction) == "b",
    )


def flag(query: Query, name: str) -> bool | None:
    """`true`, `false`, or nothing said."""
    return query.boolean(name) if name in query else None
