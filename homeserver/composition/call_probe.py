"""The empty calls of `doctor voice`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.voice_addresses import turn_access
from homeserver.composition.voice_backend import VoiceBackend
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.voice.probe import ProbeEndpoints
from homeserver.protocol.signing import SigningKey
from homeserver.services.calls.probe import VoiceProbes
from voice.sfu.embedded.backend import Crew


@dataclass(frozen=True, slots=True)
class CallProbe:
    """Nothing but endpoints; none without voice."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_call_probe(base: Foundation, settings: Settings, voice: VoiceBackend, signing_key: SigningKey) -> CallProbe:
    """Signed by whoever has the server's own key."""
    if voice.backend is None:
        return CallProbe()
    ports = _ports(voice.crew, settings.voice.port)
    turn = turn_access(settings.voice.turn)
    probes = VoiceProbes(base.server_name, signing_key, voice.backend, turn, ports, base.clock)
    return CallProbe(list(endpoints_of(ProbeEndpoints(probes))))


def _ports(crew: Crew | None, first: int) -> Callable[[], Sequence[int]]:
    """Also those of workers that are started when there is more to do: they have to be open as well."""
    if crew is None:
        return lambda: ()
    if first == 0:
        return lambda: [ready.media_port for ready in crew.ready()]
    return lambda: range(first, first + crew.most)
