"""What one viewer's path carries, and which video layers fit in it.

He tells the loss (receiver reports) and, where his client estimates it, a bitrate (REMB). An estimate of his client is
never much above what it receives now, so it is a sign of congestion when it falls below that, and no upper limit
otherwise. Trying a higher layer is the probe; what fails is tried again later and later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice.sfu.embedded.media.video_subscription import HIGHEST, VideoSubscription

FIRST_BPS = 3_000_000.0
LOWEST_BPS = 100_000.0
HIGHEST_BPS = 50_000_000.0
GROWTH_PER_SECOND = 1.08
LONGEST_GROWTH_SECONDS = 100.0
"""Between two looks: from the lowest to the highest."""
MUCH_LOSS = 0.10
LITTLE_LOSS = 0.02
DECREASE_GAP_NS = 900_000_000
FIRST_HOLD_NS = 4_000_000_000
LONGEST_HOLD_NS = 60_000_000_000
UPGRADE_MARGIN = 1.15
"""A layer that is not seen yet must fit with room to spare."""


@dataclass(slots=True)
class Bandwidth:
    """Bits per second: less on loss above 10 % or a REMB that falls below what is sent, else 8 % more every second."""

    bps: float = FIRST_BPS
    _hold_ns: int = FIRST_HOLD_NS
    _held_until_ns: int = 0
    _decreased_ns: int = -DECREASE_GAP_NS
    _grown_ns: int = 0
    _clean: bool = True
    _told: float = 0.0

    def lost(self, fraction: float, sent_bps: float, now_ns: int) -> None:
        """A receiver report: this part of the video was lost on the way."""
        self._clean = fraction < LITTLE_LOSS
        if fraction > MUCH_LOSS:
            self._decrease((min(self.bps, sent_bps) or self.bps) * (1 - fraction / 2), now_ns)

    def told(self, bps: float, sent_bps: float, now_ns: int) -> None:
        """A REMB. One that rises slowly to what is sent (as the first ones of a call do) is no congestion; a fall is."""
        falls = bps < self._told * 0.97
        self._told = bps
        if bps < sent_bps * (0.95 if falls else 0.6):
            self._decrease(bps, now_ns)
        elif bps > self.bps:
            self.bps = min(bps, HIGHEST_BPS)

    def _decrease(self, to: float, now_ns: int) -> None:
        if now_ns - self._decreased_ns < DECREASE_GAP_NS or to >= self.bps:
            return
        self.bps = max(LOWEST_BPS, to)
        recovered = now_ns - self._decreased_ns > 2 * self._hold_ns
        self._hold_ns = FIRST_HOLD_NS if recovered else min(LONGEST_HOLD_NS, self._hold_ns * 2)
        self._held_until_ns = now_ns + self._hold_ns
        self._decreased_ns = now_ns

    def grow(self, now_ns: int) -> None:
        """A few times a second, while there is video."""
        if self._clean and now_ns >= self._held_until_ns and self._grown_ns:
            seconds = min(LONGEST_GROWTH_SECONDS, (now_ns - self._grown_ns) / 1e9)
            self.bps = min(HIGHEST_BPS, self.bps * GROWTH_PER_SECOND**seconds)
        self._grown_ns = now_ns


def allocate(subscriptions: Sequence[VideoSubscription], bps: float, now_ns: int) -> None:
    """Set which layer fits for each: first the lowest of all, shared screens before cameras, then higher ones in turn."""
    shown = [subscription for subscription in subscriptions if not subscription.paused]
    shown.sort(key=lambda subscription: subscription.track.source != "screen_share")
    left = bps
    costs = {subscription: _costs(subscription, now_ns) for subscription in shown}
    reached: dict[VideoSubscription, int] = {}
    for subscription in shown:
        base = costs[subscription][0][1] if costs[subscription] else 0.0
        margin = UPGRADE_MARGIN if subscription.stream_paused else 1.0
        if base * margin <= left:
            reached[subscription] = 0
            left -= base
    for step in range(1, HIGHEST + 1):
        left = _raise(reached, costs, step, left)
    for subscription in shown:
        _apply(subscription, costs[subscription], reached.get(subscription))


def _raise(
    reached: dict[VideoSubscription, int],
    costs: dict[VideoSubscription, list[tuple[int, float]]],
    step: int,
    left: float,
) -> float:
    """One step up the ladder for all for whom it fits."""
    for subscription, place in reached.items():
        ladder = costs[subscription]
        if place != step - 1 or step >= len(ladder):
            continue
        more = max(0.0, ladder[step][1] - ladder[place][1])
        seen = subscription.current is not None and subscription.current.quality >= ladder[step][0]
        if more * (1.0 if seen else UPGRADE_MARGIN) <= left:
            reached[subscription] = step
            left -= more
    return left


def _apply(subscription: VideoSubscription, ladder: list[tuple[int, float]], place: int | None) -> None:
    stream_paused = place is None
    if place is None:
        cap = -1
    elif place >= len(ladder) - 1:
        cap = HIGHEST  # all that is sent and wanted fits
    else:
        cap = ladder[place][0]
    if (cap, stream_paused) != (subscription.cap, subscription.stream_paused):
        subscription.cap = cap
        subscription.stream_paused = stream_paused
        subscription.track.changed = True


def _costs(subscription: VideoSubscription, now_ns: int) -> list[tuple[int, float]]:
    """(quality, bits per second) of the layers that are sent and wanted, lowest first."""
    if subscription.track.muted:
        return []
    layers = subscription.track.live_layers(now_ns)
    wanted = [layer for layer in layers if layer.quality <= subscription.quality] or layers[:1]
    return [(layer.quality, layer.rate.bps) for layer in wanted]
