"""Real worker processes with a backend in front, as the homeserver has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from voice.sfu.backend import RoomOptions, SfuEvent
from voice.sfu.embedded.backend import EmbeddedBackend
from voice.sfu.embedded.control import Configure
from voice.sfu.embedded.supervisor import Supervisor
from voice.sfu.embedded.supervisor_spare import Spare

KEY, SECRET = "workerkey", "a secret that only this test's workers know"
URL = "ws://sfu.test"


@dataclass(slots=True)
class Workplace:
    backend: EmbeddedBackend
    crew: Supervisor
    events: list[SfuEvent] = field(default_factory=list)


def configuration(**changed: Any) -> Configure:
    values: dict[str, Any] = {
        "api_key": KEY,
        "api_secret": SECRET,
        "bind": "127.0.0.1",
        "port": 0,
        "advertise": (),
        "options": RoomOptions(),
        "top_speakers": 5,
        "top_speakers_above": 20,
        "socket_path": "",
    }
    return Configure(**{**values, **changed})


@contextlib.asynccontextmanager
async def workplace(most: int = 1, **changed: Any) -> AsyncIterator[Workplace]:
    crew = Supervisor(configuration(), most, spare=Spare(quiet_s=0))
    place = Workplace(EmbeddedBackend(crew, URL, KEY, SECRET, **changed), crew)
    place.backend.on_event(place.events.append)
    await place.backend.start()
    try:
        yield place
    finally:
        await place.backend.stop()


def worker_processes() -> list[psutil.Process]:
    """Those of this test's process."""
    ours = psutil.Process(os.getpid()).children(recursive=True)
    return [each for each in ours if "voice.sfu.embedded.worker" in each.cmdline()]
