"""Events that come before we know the room into which we were just let."""

from __future__ import annotations

import asyncio

import pytest

from homeserver.federation.incoming.arrivals import MAX_WAITING, Arrivals

ROOM = "!hall:alpha.example"


async def test_events_wait_until_bob_is_in() -> None:
    arrivals = Arrivals()
    with arrivals.coming_into(ROOM):
        waiting = asyncio.create_task(arrivals.settled(ROOM))
        await arrivals.settled("!other:alpha.example")
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
    await arrivals.settled(ROOM)


async def test_they_wait_no_longer_where_he_is_refused() -> None:
    arrivals = Arrivals()
    with pytest.raises(ZeroDivisionError), arrivals.coming_into(ROOM):
        waiting = asyncio.create_task(arrivals.settled(ROOM))
        await asyncio.sleep(0)
        raise ZeroDivisionError
    await asyncio.wait_for(waiting, 1)


async def test_they_do_not_wait_for_ever() -> None:
    arrivals = Arrivals(wait_seconds=0.01)
    with arrivals.coming_into(ROOM):
        await asyncio.wait_for(arrivals.settled(ROOM), 1)


async def test_mallorys_slow_server_does_not_make_us_collect_events() -> None:
    arrivals = Arrivals()
    with arrivals.coming_into(ROOM):
        waiting = [asyncio.create_task(arrivals.settled(ROOM, 50)) for _ in range(MAX_WAITING // 50)]
        await asyncio.sleep(0)
        await asyncio.wait_for(arrivals.settled(ROOM), 1)
        assert not any(each.done() for each in waiting)
        # Whoever gives up makes room.
        waiting.pop().cancel()
        await asyncio.sleep(0)
        one = asyncio.create_task(arrivals.settled(ROOM, 50))
        await asyncio.sleep(0)
        assert not one.done()
    await asyncio.wait_for(asyncio.gather(one, *waiting), 1)
