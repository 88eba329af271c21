"""Sound in and out of WAV files: 16 bit, one or two channels, any rate the SDK takes."""

from __future__ import annotations

import math
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

RATE = 48_000
FRAME_MS = 10


class NotPlayable(Exception):  # noqa: N818
    """The file is no WAV of a kind that can be played."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Pieces of 10 ms, 16 bit little endian, interleaved."""

    rate: int
    channels: int
    pieces: Iterator[bytes]


def play_file(path: Path, *, loop: bool = False) -> Sound:
    """The file's sound. Raises NotPlayable."""
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
    except (OSError, EOFError, wave.Error) as error:
        raise NotPlayable(f"{path} cannot be played: {error}") from error
    if width != 2 or channels not in (1, 2) or not 8_000 <= rate <= 48_000:
        raise NotPlayable(f"{path} must be 16 bit, mono or stereo, 8 to 48 kHz")
    return Sound(rate, channels, _pieces_of(path, rate, loop))


def _pieces_of(path: Path, rate: int, loop: bool) -> Iterator[bytes]:
    while True:
        with wave.open(str(path), "rb") as file:
            frames, width = rate * FRAME_MS // 1000, file.getnchannels() * 2
            while piece := file.readframes(frames):
                yield piece.ljust(frames * width, b"\0")
        if not loop:
            return


def tone(hertz: float, seconds: float, amplitude: int = 12_000) -> Sound:
    """A sine wave, for tests of the line."""

    def pieces() -> Iterator[bytes]:
        frames = RATE * FRAME_MS // 1000
        for number in range(int(seconds * 1000 / FRAME_MS)):
            start = number * frames
            yield array(
                "h", (int(amplitude * math.sin(2 * math.pi * hertz * (start + i) / RATE)) for i in range(frames))
            ).tobytes()

    return Sound(RATE, 1, pieces())


@dataclass(slots=True)
class Recording:
    """What was heard, written to a WAV file when it ends."""

    path: Path
    rate: int = RATE
    channels: int = 1
    _file: wave.Wave_write | None = field(default=None, repr=False)

    def add(self, samples: bytes) -> None:
        if self._file is None:
            self._file = wave.open(str(self.path), "wb")  # noqa: SIM115 - closed by close()
            self._file.setnchannels(self.channels)
            self._file.setsampwidth(2)
            self._file.setframerate(self.rate)
        self._file.writeframes(samples)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
