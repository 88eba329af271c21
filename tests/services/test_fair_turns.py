"""Mallory searches all day; Alice gets her turn."""

from __future__ import annotations

import asyncio

from homeserver.services.fair_turns import FairTurns

AT_ONCE = 3


async def test_one_person_takes_one_place() -> None:
    turns, ended, running = FairTurns(AT_ONCE), asyncio.Event(), []

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
    assert len(turns._by_party) == 0


async def test_a_party_may_have_more_than_one() -> None:
    turns, running = FairTurns(AT_ONCE, of_one=2), 0
    async with turns.of("a"), turns.of("a"):
        running += 2
        third = asyncio.create_task(turns.of("a").__aenter__())
        async with asyncio.timeout(5), turns.of("b"):
            running += 1
        assert not third.done()
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
    assert running == AT_ONCE
