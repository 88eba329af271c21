"""Who forwards calls: our own workers, or LiveKit; nobody where voice is off."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from config.settings import ListenerSettings, Settings, VoiceSettings
from homeserver.composition.foundation import Foundation
from homeserver.composition.voice_addresses import sfu_url, turn_access
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.voice.signalling import SignallingEndpoints
from homeserver.observability.metrics import MoreNumbers
from homeserver.observability.voice_metrics import VoiceMetrics
from voice.sfu.backend import RoomOptions, SfuBackend
from voice.sfu.embedded.backend import Crew, EmbeddedBackend
from voice.sfu.embedded.control import Configure
from voice.sfu.embedded.supervisor import Supervisor

LOOK_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class VoiceBackend:
    """`backend` None: no calls. `crew` are our own workers."""

    backend: SfuBackend | None = None
    crew: Crew | None = None
    metrics: MoreNumbers | None = None
    endpoints: list[Endpoint] = field(default_factory=list)


def build_voice_backend(
    base: Foundation, settings: Settings, public_baseurl: str, given: SfuBackend | None = None
) -> VoiceBackend:
    """Started before, and stopped after, all that uses it. `given` takes the place of what the settings ask for (tests).

    Raises ConfigError for LiveKit without a cluster.
    """
    if given is not None:
        return VoiceBackend(given)
    if not settings.voice.enabled:
        return VoiceBackend()
    if settings.voice.backend == "livekit":
        return _livekit(base, settings.voice)
    if not _is_reachable(settings.listeners):
        return VoiceBackend()
    return _embedded(base, settings.voice, public_baseurl)


def _is_reachable(listeners: Iterable[ListenerSettings]) -> bool:
    """Workers whose signalling no listener serves can carry no call: then they need not take a port either."""
    return any("voice" in listener.resources for listener in listeners)


# --- our own ---------------------------------------------------------------------------------------------------------


def _embedded(base: Foundation, voice: VoiceSettings, public_baseurl: str) -> VoiceBackend:
    # Made anew at each start: nobody has a use for them but us, so nobody can lose them.
    key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    crew = _crew(voice, key, secret)
    # Times in tokens are the computer's, as workers have no other clock.
    backend = EmbeddedBackend(crew, sfu_url(public_baseurl), key, secret)
    metrics = VoiceMetrics(crew.numbers, crew.deaths)
    base.life.on_start(backend.start)
    base.life.on_stop(backend.stop)
    base.life.every(LOOK_MS, backend.look_after_rooms, "look-after-calls")
    base.life.reports_memory("voice_backend", backend.memory_usage)
    return VoiceBackend(backend, crew, metrics, list(endpoints_of(SignallingEndpoints(crew, backend.worker_of_token))))


def _crew(voice: VoiceSettings, key: str, secret: str) -> Crew:
    configuration = Configure(
        api_key=key,
        api_secret=secret,
        bind=voice.bind,
        port=voice.port,
        advertise=voice.advertise,
        options=RoomOptions(voice.max_participants, voice.audio.bitrate, voice.audio.frame_ms),
        top_speakers=voice.top_speakers,
        top_speakers_above=voice.top_speakers_above,
        socket_path="",
        turn=turn_access(voice.turn),
    )
    workers = _cores() if voice.workers is None else voice.workers
    if workers:
        return Supervisor(configuration, workers)
    # Here and not above: a homeserver with workers does not carry the SFU, nor LiveKit's library, in its own memory.
    from voice.sfu.embedded.backend_in_process import InProcessCrew

    return InProcessCrew(configuration)


def _cores() -> int:
    """That this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- LiveKit ---------------------------------------------------------------------------------------------------------


def _livekit(base: Foundation, voice: VoiceSettings) -> VoiceBackend:
    from homeserver.composition.livekit_clusters import cluster_addresses
    from homeserver.http.voice.livekit_webhook import LiveKitWebhookEndpoints
    from homeserver.observability.livekit_metrics import LiveKitMetrics
    from voice.sfu.livekit.backend import LiveKitBackend

    # Times in tokens are the computer's, as LiveKit has no other clock.
    backend = LiveKitBackend(cluster_addresses(voice.livekit))
    base.life.on_start(backend.start)
    # Its people outlive our restarts: they are told of when everybody who listens knows who they are.
    base.life.on_started(backend.watch)
    base.life.on_stop(backend.stop)
    base.life.reports_memory("voice_backend", backend.memory_usage)
    metrics = LiveKitMetrics(backend.numbers)
    return VoiceBackend(backend, metrics=metrics, endpoints=list(endpoints_of(LiveKitWebhookEndpoints(backend))))
