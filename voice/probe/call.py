"""One call for two over one path: how far it came, and what was measured."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import aiohttp

from voice.participant import Behaviour, Failed, IncomingStream, Participant, Refused, speak
from voice.participant.listening import STAMP_BYTES, payload_start
from voice.participant.participant import Way
from voice.probe.invitation import Invitation
from voice.probe.reach import Reached, look
from voice.probe.watch import Watch

CONNECT_S: Final = 8.0
FRAME_MS: Final = 20
FRAME_BYTES: Final = 160
"""64 kbit/s at 20 ms, the default of calls here."""
_MOST_UNHEARD: Final = 150
"""Three seconds: the listener's subscription takes a moment."""
_STRAGGLERS_S: Final = 0.3
_CLOSING_S: Final = 2.0


class Stage(Enum):
    """Where a call ended."""

    SIGNALLING = "signalling"
    SENT_AWAY = "sent away"
    ICE = "ice"
    DTLS = "dtls"
    PUBLISH = "publish"
    MEDIA = "media"


@dataclass(frozen=True, slots=True)
class Failure:
    """`status` is the HTTP answer to the WebSocket; `error` what stood in its way where there was none."""

    stage: Stage
    reason: str = ""
    status: int = 0
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """Times in ms; latency from the talker to the SFU and back to the listener."""

    sent: int
    received: int
    latency_ms: float
    latency_p99_ms: float
    jitter_ms: float

    @property
    def loss(self) -> float:
        return max(0, self.sent - self.received) / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """`sound` or `failure`."""

    sound: Sound | None = None
    failure: Failure | None = None
    heard_by_sfu: bool = False
    """It reported on the talker's packets."""
    reached: Sequence[Reached] = field(default_factory=list)


async def place_call(http: aiohttp.ClientSession, invitation: Invitation, way: Way, seconds: float) -> Call:
    """Raises nothing: what goes wrong is the result."""
    # Nothing is repaired, so that what is counted is what the network does.
    behaviour = Behaviour(reads_stamps=True, resends=False, audio_sections=1)
    watch, ear = Watch(), _Ear()
    url, (first, second) = invitation.url, invitation.tokens
    talker = Participant(url, first, way, behaviour, http, on_signal=watch.signalled)
    listener = Participant(url, second, way, behaviour, http, on_packet=ear.listen)
    try:
        outcome = await _converse(talker, listener, ear, seconds)
        reached = await look(watch, talker.name_in_checks, way) if isinstance(way, str) and watch.ufrag else []
        heard = bool(talker.reported)
        if isinstance(outcome, Failure):
            return Call(failure=outcome, heard_by_sfu=heard, reached=reached)
        return Call(sound=outcome, heard_by_sfu=heard, reached=reached)
    finally:
        await asyncio.gather(_close(talker), _close(listener))


async def _converse(talker: Participant, listener: Participant, ear: _Ear, seconds: float) -> Sound | Failure:
    for failure in await asyncio.gather(_connect(talker), _connect(listener)):
        if failure is not None:
            return failure
    try:
        await talker.publish_audio(timeout=CONNECT_S)
    except (Failed, TimeoutError) as error:
        return Failure(Stage.PUBLISH, str(error))
    return await _measure(talker, listener, ear, seconds)


async def _connect(who: Participant) -> Failure | None:
    try:
        async with asyncio.timeout(CONNECT_S):
            await who.connect(CONNECT_S)
    except Refused as refused:
        return Failure(Stage.SIGNALLING, str(refused), refused.status, refused.__cause__)
    except (Failed, TimeoutError, ValueError, aiohttp.ClientError) as error:
        return Failure(_stage_of(who), str(error), error=error)
    return None


def _stage_of(who: Participant) -> Stage:
    if who.joined is None or (who.closed and not who.reachable):
        return Stage.SIGNALLING
    if who.left is not None:
        return Stage.SENT_AWAY
    return Stage.DTLS if who.reachable else Stage.ICE


@dataclass(slots=True)
class _Ear:
    """Which of the numbered frames came. Those without a number are sent until the first one is heard."""

    heard: bool = False
    numbers: set[int] = field(default_factory=set)

    def listen(self, stream: IncomingStream, packet: bytes) -> None:
        start = payload_start(packet) + STAMP_BYTES
        number = int.from_bytes(packet[start : start + 4], "big")
        self.heard = True
        if number:
            self.numbers.add(number)

    def frames(self, count: int) -> Iterator[bytes]:
        """As random as what a codec makes, for the sake of whoever compresses."""
        for _ in range(_MOST_UNHEARD):
            if self.heard:
                break
            yield _frame(0)
        if self.heard:
            yield from map(_frame, range(1, count + 1))


def _frame(number: int) -> bytes:
    return bytes(STAMP_BYTES) + number.to_bytes(4, "big") + secrets.token_bytes(FRAME_BYTES - STAMP_BYTES - 4)


async def _measure(talker: Participant, listener: Participant, ear: _Ear, seconds: float) -> Sound | Failure:
    count = round(seconds * 1000 / FRAME_MS)
    # Without a pause, which would look like jitter.
    await speak(talker, ear.frames(count), frame_ms=FRAME_MS, stamp=True)
    await asyncio.sleep(_STRAGGLERS_S)
    if not ear.heard:
        return Failure(Stage.MEDIA, talker.failure or listener.failure)
    counted = listener.statistics()
    return Sound(count, len(ear.numbers), counted.latency_p50_ms, counted.latency_p99_ms, counted.worst_jitter_ms)


async def _close(who: Participant) -> None:
    with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError):
        async with asyncio.timeout(_CLOSING_S):
            await who.close()
