"""Packets on a schedule, as a microphone makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from voice.participant.listening import stamped
from voice.participant.participant import Participant

_SAMPLES_PER_MS = 48


async def speak(
    participant: Participant, payloads: Iterable[bytes], *, frame_ms: int = 20, level: int = 30, stamp: bool = False
) -> None:
    """Send one payload for each frame of this many ms, without drift; `stamp` overwrites their first bytes.

    A loop that was late catches up at once, as a sound card does whose buffer ran full.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number, payload in enumerate(payloads):
        participant.send_packet(
            stamped(payload) if stamp else payload, level=level, samples=frame_ms * _SAMPLES_PER_MS, marker=number == 0
        )
        due += frame_ms / 1000
        await asyncio.sleep(max(0.0, due - loop.time()))
