"""Two processes with one Redis: Mallory does not get twice as much by asking both."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homeserver.protocol.errors import LimitExceeded
from homeserver.services.rate_limits import BucketRateLimiter, Rate
from homeserver.services.shared_rates import PAUSE_AFTER_FAILURE_MS, SharedRates
from homeserver.storage.redis.buckets import KEYS_AT_ONCE, RedisBuckets
from tests.clock import FakeClock
from tests.redis import free_port, running_redis

# Slow enough that nothing comes back while a test runs: Redis goes by its own clock.
RATES = {"login": Rate(burst=10, interval_ms=3_600_000)}


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[str]:
    with running_redis(tmp_path) as url:
        yield url


async def process(url: str, clock: FakeClock, server_name: str = "alpha.example") -> SharedRates:
    limiter = BucketRateLimiter(clock, RATES, is_shared=True)
    return SharedRates(limiter, RedisBuckets(url, server_name), clock)


def guesses(shared: SharedRates, number: int, key: str = "192.0.2.66") -> None:
    for _ in range(number):
        shared.limiter.count("login", key)


async def test_both_count_together(redis: str, clock: FakeClock) -> None:
    one, other = await process(redis, clock), await process(redis, clock)
    guesses(one, 6)
    guesses(other, 3)
    await one.share()
    await other.share()
    # The other has heard of nine; the first hears when it has something to say itself.
    guesses(other, 1)
    with pytest.raises(LimitExceeded):
        guesses(other, 1)
    guesses(one, 1)
    await other.share()
    await one.share()
    with pytest.raises(LimitExceeded) as refused:
        guesses(one, 1)
    assert 0 < refused.value.data["retry_after_ms"] <= 2 * 3_600_000
    guesses(one, 1, key="192.0.2.1")
    await one.buckets.close()
    await other.buckets.close()


async def test_other_servers_at_the_same_redis_are_others(redis: str, clock: FakeClock) -> None:
    one, other = await process(redis, clock), await process(redis, clock, "beta.example")
    guesses(one, 10)
    await one.share()
    guesses(other, 1)
    await other.share()
    guesses(other, 9)
    await one.buckets.close()
    await other.buckets.close()


async def test_what_is_taken_while_redis_is_asked_counts(redis: str, clock: FakeClock) -> None:
    one = await process(redis, clock)
    guesses(one, 4)
    sharing = one.share()
    await sharing
    guesses(one, 6)
    with pytest.raises(LimitExceeded):
        guesses(one, 1)
    await one.buckets.close()


async def test_thousands_of_askers_take_a_few_round_trips(redis: str, clock: FakeClock) -> None:
    one = await process(redis, clock)
    for number in range(3 * KEYS_AT_ONCE + 7):
        guesses(one, 1, key=f"@user{number}:alpha.example")
    await one.share()
    guesses(one, 9, key="@user0:alpha.example")
    with pytest.raises(LimitExceeded):
        guesses(one, 1, key="@user0:alpha.example")
    await one.buckets.close()


async def test_without_redis_each_counts_alone_and_says_so_once(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    one = await process(f"redis://127.0.0.1:{port}/0", clock)
    with caplog.at_level(logging.WARNING, "homeserver"):
        for _ in range(3):
            guesses(one, 2)
            await one.share()
            clock.advance(ms=PAUSE_AFTER_FAILURE_MS)
    assert len([each for each in caplog.records if "Redis" in each.message]) == 1
    with running_redis(tmp_path, port) as url:
        guesses(one, 2)
        await one.share()
        other = await process(url, clock)
        guesses(other, 1)
        await other.share()
        guesses(other, 7)
        with pytest.raises(LimitExceeded):
            guesses(other, 1)
        await other.buckets.close()
    await one.buckets.close()
