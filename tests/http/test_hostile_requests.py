"""The short siege of every day: a few hostile requests to each endpoint. The long one is tests/fuzz."""

from __future__ import annotations

from tests.cast import Server
from tests.fuzz.siege import lay_siege


async def test_no_endpoint_falls_to_a_few_hostile_requests(server: Server) -> None:
    complaints = await lay_siege(server, rounds=4, seed=7)
    assert complaints == [], "\n".join(complaints[:20])
