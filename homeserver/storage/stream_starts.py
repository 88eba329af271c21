"""Sequence `stream_starts`: where a stream begins when the server starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NEXT_START = "SELECT nextval('stream_starts')"


async def first_position(q: Queries) -> int:
    """A position that no stream has reached in an earlier start of the server; once a start for each stream.

    What is stored says too little: a position whose change was not written, or has been deleted since, is in tokens too.
    """
    start: int = await q.fetchval(NEXT_START)
    return start << 32
