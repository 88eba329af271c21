"""How far the buckets of rate limits have been filled, by all processes of a server together."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIME_LIMIT_S: Final = 1.0
KEYS_AT_ONCE: Final = 500
# A key per bucket: the time at which it is full again, by Redis's clock, so that the clocks of machines do not matter.
# ARGV: milliseconds taken from each. Answers with the milliseconds until each is full.
TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = {}
for index, key in ipairs(KEYS) do
    local full_again = math.max(tonumber(redis.call('GET', key) or '0'), now) + tonumber(ARGV[index])
    left[index] = math.ceil(full_again - now)
    redis.call('SET', key, string.format('%.0f', full_again), 'PX', math.max(left[index], 1))
end
return left
"""


class RedisBuckets:
    """Connects when first asked, and again after a failure."""

    def __init__(self, url: str, server_name: str) -> None:
        from redis.asyncio import Redis

        self._redis: Redis = Redis.from_url(
            url, socket_timeout=TIME_LIMIT_S, socket_connect_timeout=TIME_LIMIT_S, single_connection_client=True
        )
        self._prefix = f"voicechat:{server_name}:rate:"

    async def take(self, spent_ms: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        """Take from the buckets of all; the milliseconds until each is full. Raises OSError or RedisError."""
        buckets = list(spent_ms)
        left: list[float] = []
        for start in range(0, len(buckets), KEYS_AT_ONCE):
            part = buckets[start : start + KEYS_AT_ONCE]
            left += await self._take([self._key(each) for each in part], [str(round(spent_ms[each])) for each in part])
        return dict(zip(buckets, left, strict=True))

    async def _take(self, keys: Sequence[str], spent_ms: Sequence[str]) -> list[float]:
        answer = cast(Awaitable[list[float]], self._redis.eval(TAKE, len(keys), *keys, *spent_ms))
        return await answer

    def _key(self, bucket: tuple[str, str]) -> str:
        # Nobody who looks into Redis has to see who asked from where; and names may be long.
        return self._prefix + hashlib.sha256("\0".join(bucket).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()
