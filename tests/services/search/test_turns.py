"""Mallory searches all day; Alice gets her turn."""

from __future__ import annotations

import asyncio

from homeserver.services.search.turns import AT_ONCE, SearchTurns


async def test_one_person_takes_one_place() -> None:
    turns, ended, running = SearchTurns(), asyncio.Event(), []

    async def search(user_id: str) -> None:
        async with turns.of(user_id):
            running.append(user_id)
            await ended.wait()

    searches = [asyncio.create_task(search("@mallory:test")) for _ in range(10)]
    searches += [asyncio.create_task(search(f"@user{number}:test")) for number in range(AT_ONCE)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert running == ["@mallory:test", "@user0:test", "@user1:test"]
    searches[0].cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(running) == AT_ONCE + 1
    ended.set()
    await asyncio.gather(*searches, return_exceptions=True)
    assert len(running) == 10 + AT_ONCE
    assert len(turns._by_user) == 0
