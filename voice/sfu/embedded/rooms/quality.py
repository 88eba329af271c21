"""How well the paths of a participant work, in the three words LiveKit has for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livekit.protocol import models

from voice.sfu.embedded.media import Receiver, Sender
from voice.sfu.embedded.rooms.peer import Quality

_POOR_LOSS, _GOOD_LOSS = 0.10, 0.02
_POOR_RTT_MS, _GOOD_RTT_MS = 600, 250
_POOR_JITTER_MS, _GOOD_JITTER_MS = 100, 40


def quality_of(receiver: Receiver, sender: Sender) -> Sequence[Quality]:
    return [Quality(part.loss, part.rtt_ms, part.jitter_ms) for part in (receiver.quality(), sender.quality())]


def rated(qualities: Sequence[Quality]) -> tuple[Any, float]:
    """LiveKit's word, and a score from 1 to 5, of the worse of both directions."""
    loss = max((quality.loss for quality in qualities), default=0.0)
    rtt = max((quality.rtt_ms for quality in qualities), default=0.0)
    jitter = max((quality.jitter_ms for quality in qualities), default=0.0)
    if loss > _POOR_LOSS or rtt > _POOR_RTT_MS or jitter > _POOR_JITTER_MS:
        return models.POOR, 2.0
    if loss > _GOOD_LOSS or rtt > _GOOD_RTT_MS or jitter > _GOOD_JITTER_MS:
        return models.GOOD, 3.5
    return models.EXCELLENT, 4.8
