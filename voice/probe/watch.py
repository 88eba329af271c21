"""What the SFU says of itself while a participant joins: where it can be reached, and with which ICE credentials."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from voice.participant.paths import RemoteCandidate
from voice.sfu.embedded.sdp import Description, SdpError, parse

_MAX_CANDIDATES = 32


@dataclass(slots=True)
class Watch:
    """Its `signalled` is the `on_signal` of a Participant."""

    candidates: list[RemoteCandidate] = field(default_factory=list)
    """In the order in which clients are told of them."""
    ufrag: str = ""
    password: str = ""

    def signalled(self, response: Any) -> None:
        match response.WhichOneof("message"):
            case "answer":
                with contextlib.suppress(SdpError):
                    self._described(parse(response.answer.sdp))
            case "trickle":
                with contextlib.suppress(ValueError, AttributeError):
                    value = str(json.loads(response.trickle.candidateInit).get("candidate"))
                    self._add(value.removeprefix("candidate:"))

    def _described(self, answer: Description) -> None:
        self.ufrag, self.password = answer.ufrag, answer.password
        for section in answer.sections:
            for value in section.candidates:
                self._add(value)

    def _add(self, value: str) -> None:
        candidate = RemoteCandidate.parse(value)
        if candidate is not None and candidate not in self.candidates and len(self.candidates) < _MAX_CANDIDATES:
            self.candidates.append(candidate)
