"""`./voicechat doctor voice` asks here for an empty call that it may place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.calls.probe import Probe, VoiceProbes

PATH: Final = "/livekit/probe"
MAX_BODY_BYTES: Final = 4 * 1024


class ProbeBody(msgspec.Struct, omit_defaults=True):
    """Signed as "Signing JSON" of the appendices says. `ts` in ms; `region` of a LiveKit cluster."""

    server_name: str
    purpose: str
    ts: int
    nonce: str
    signatures: dict[str, dict[str, str]]
    region: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeEndpoints:
    probes: VoiceProbes

    @endpoint("POST", PATH, auth=Auth.NONE, body=ProbeBody, limit="voice_probe", max_body_bytes=MAX_BODY_BYTES)
    async def begin(self, request: Request[ProbeBody]) -> Response:
        # Only what was read is verified: a field we do not know is neither signed nor used.
        return _answer(await self.probes.begin(msgspec.to_builtins(request.body)))


def _answer(probe: Probe) -> dict[str, Any]:
    turn = probe.turn
    relays = turn and {"uris": list(turn.uris), "username": turn.username, "password": turn.password}
    return {"url": probe.url, "tokens": list(probe.tokens), "turn": relays, "ports": list(probe.ports)}
