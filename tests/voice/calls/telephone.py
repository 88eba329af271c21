"""A worker in the test's loop, and people who call through it with LiveKit's own SDK."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web
from livekit import rtc

from voice.sfu.backend import Grant, RoomOptions, SfuEvent
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.application import new_runner
from voice.sfu.embedded.transport import open_media_port
from voice.tokens import mint

KEY, SECRET = "devkey", "a secret of this test and of nobody else"
ROOM = "kitchen"
RATE = 48_000
PATIENCE_S = 10


@dataclass(slots=True)
class Exchange:
    """A whole SFU: media port, rooms, signalling."""

    server: RoomServer
    url: str
    events: list[SfuEvent] = field(default_factory=list)

    def token(self, identity: str, room: str = ROOM, **changed: Any) -> str:
        return mint(KEY, SECRET, Grant(room, identity, **changed), time.time())


@contextlib.asynccontextmanager
async def exchange(*, v1: bool = True, options: RoomOptions | None = None) -> AsyncIterator[Exchange]:
    port = await open_media_port("127.0.0.1", 0, ())
    server = RoomServer(port, {KEY: SECRET})
    runner = new_runner(server, v1=v1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, number = runner.addresses[0][:2]
    built = Exchange(server, f"ws://{host}:{number}")
    server.on_event(built.events.append)
    server.ensure_room(ROOM, options or RoomOptions())
    server.start()
    try:
        yield built
    finally:
        await server.stop()
        await runner.cleanup()
        port.close()


async def until(condition: object, what: str = "it") -> None:
    """Wait for real sockets, not for a fixed time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what} did not happen"
        await asyncio.sleep(0.02)


@dataclass(slots=True)
class Caller:
    """One person with the SDK."""

    room: rtc.Room
    tracks: dict[str, rtc.Track] = field(default_factory=dict)
    """What arrived, by the publisher's identity and kind: "alice audio"."""
    data: list[tuple[str, bytes, str]] = field(default_factory=list)
    """Sender, payload, topic."""
    seen: list[str] = field(default_factory=list)
    """Events by name."""

    def listen(self) -> None:
        @self.room.on("track_subscribed")
        def _(track: rtc.Track, _: object, who: rtc.RemoteParticipant) -> None:
            kind = "audio" if track.kind == rtc.TrackKind.KIND_AUDIO else "video"
            self.tracks[f"{who.identity} {kind}"] = track

        @self.room.on("data_received")
        def _(packet: rtc.DataPacket) -> None:
            sender = packet.participant.identity if packet.participant else ""
            self.data.append((sender, packet.data, packet.topic or ""))

        for name in (
            "participant_connected", "participant_disconnected", "track_muted", "track_unmuted", "track_unpublished",
            "track_unsubscribed",
            "local_track_subscribed", "active_speakers_changed", "disconnected", "reconnecting", "reconnected",
        ):  # fmt: skip
            self.room.on(name, lambda *_, name=name: self.seen.append(name))


@contextlib.asynccontextmanager
async def caller(here: Exchange, identity: str, **options: object) -> AsyncIterator[Caller]:
    grant = options.pop("grant", {})
    person = Caller(rtc.Room())
    person.listen()
    await person.room.connect(here.url, here.token(identity, **grant), rtc.RoomOptions(**options))  # type: ignore[arg-type]
    try:
        yield person
    finally:
        await person.room.disconnect()


# --- sound ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def humming(person: Caller, hertz: int = 997) -> AsyncIterator[rtc.LocalTrackPublication]:
    """A tone goes out until the end of the block."""
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    published = await person.room.local_participant.publish_track(
        track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    )
    task = asyncio.create_task(_hum(source, hertz))
    try:
        yield published
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await source.aclose()


async def _hum(source: rtc.AudioSource, hertz: int) -> None:
    step, at = RATE // 100, 0
    while True:
        moments = (np.arange(step) + at) / RATE
        samples = (np.sin(2 * np.pi * hertz * moments) * 12_000).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, step))
        at += step


async def heard(
    track: rtc.Track, seconds: float = 0.5, *, patience_s: float = PATIENCE_S, after_s: float = 0
) -> tuple[float, float]:
    """The loudest frequency in Hz, and the share of energy within 20 Hz of it; of sound that is no silence."""
    stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
    samples = np.zeros(0, dtype=np.int16)
    try:
        async with asyncio.timeout(patience_s + after_s):
            skipped = time.monotonic() + after_s
            async for event in stream:
                if time.monotonic() < skipped:
                    continue
                frame = np.frombuffer(event.frame.data, dtype=np.int16)
                if len(samples) or np.abs(frame).max() > 3_000:
                    samples = np.concatenate([samples, frame])
                if len(samples) >= RATE * (seconds + 0.2):
                    break
    finally:
        await stream.aclose()
    return spectrum(samples[-int(RATE * seconds) :])


def spectrum(samples: np.ndarray) -> tuple[float, float]:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    loudest = float(frequencies[int(np.argmax(power))])
    near = power[np.abs(frequencies - loudest) <= 20].sum()
    return loudest, float(near / power.sum())


# --- pictures ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def filming(person: Caller, width: int = 640, height: int = 360) -> AsyncIterator[rtc.LocalTrackPublication]:
    """A bright picture with some noise goes out in three sizes."""
    source = rtc.VideoSource(width, height)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=True)
    published = await person.room.local_participant.publish_track(track, options)
    task = asyncio.create_task(_film(source, width, height))
    try:
        yield published
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await source.aclose()


async def _film(source: rtc.VideoSource, width: int, height: int) -> None:
    randomness = np.random.default_rng(1)
    while True:
        pixels = np.full((height, width, 4), 200, dtype=np.uint8)
        pixels[:40, :40] = randomness.integers(0, 255, (40, 40, 4), dtype=np.uint8)
        source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, pixels.tobytes()))
        await asyncio.sleep(1 / 15)


async def seen(track: rtc.Track, frames: int = 5) -> tuple[int, float]:
    """Width of the last of some frames, and the brightness in its middle."""
    stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGBA)
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for event in stream:
                frame, frames = event.frame, frames - 1
                if not frames:
                    break
    finally:
        await stream.aclose()
    pixels = np.frombuffer(frame.data, dtype=np.uint8).reshape(frame.height, frame.width, 4)
    return frame.width, float(pixels[frame.height // 2 :, frame.width // 2 :, 1].mean())


def encryption(secret: bytes) -> rtc.E2EEOptions:
    return rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=secret))
