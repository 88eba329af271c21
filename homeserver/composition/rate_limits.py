"""How often one may ask: the table, what the settings change of it, and how processes share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from config.errors import ConfigError
from config.settings import RateSettings, Settings
from config.values import nearest
from homeserver.composition.foundation import Foundation
from homeserver.services.rate_limits import (
    DEFAULT_RATES,
    AnyRateLimiter,
    BucketRateLimiter,
    Exemptions,
    NoRateLimiter,
    Rate,
)
from homeserver.services.shared_rates import SHARE_EVERY_MS, SharedRates


def build_rate_limiter(base: Foundation, settings: Settings) -> AnyRateLimiter:
    """Raises ConfigError, with a line for each mistake."""
    given = settings.rate_limits
    rates = _rates(given.rates)
    if not given.enabled:
        return NoRateLimiter()
    exemptions = Exemptions(given.exempt_admins, frozenset(given.exempt_users))
    limiter = BucketRateLimiter(base.clock, rates, exemptions=exemptions, is_shared=settings.redis.url is not None)
    if settings.redis.url is not None:
        _share(base, limiter, settings.redis.url)
    return limiter


def problems_of_rates(given: Sequence[RateSettings]) -> Iterator[str]:
    """A sentence for each class that there is not."""
    for each in given:
        if each.what not in DEFAULT_RATES:
            yield f"rate_limits.rates: {each.what!r} is not limited{nearest(each.what, DEFAULT_RATES) or '.'}"


def _rates(given: Sequence[RateSettings]) -> Mapping[str, Rate]:
    problems = list(problems_of_rates(given))
    if problems:
        raise ConfigError("\n".join(problems))
    return {**DEFAULT_RATES, **{each.what: Rate(each.burst, each.interval_ms) for each in given}}


def _share(base: Foundation, limiter: BucketRateLimiter, url: str) -> None:
    # Here and not above: a server alone does not load the library.
    from homeserver.storage.redis.buckets import RedisBuckets

    buckets = RedisBuckets(url, base.server_name)
    shared = SharedRates(limiter, buckets, base.clock)
    base.life.every(SHARE_EVERY_MS, shared.share, "share-rate-limits")
    base.life.on_stop(buckets.close)
