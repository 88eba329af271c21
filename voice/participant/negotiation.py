"""One offer at a time, and another one as soon as it is answered where something changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit.protocol import rtc

from voice.participant.connection import Connection
from voice.participant.offer import IncomingTrack, LocalSections
from voice.participant.outgoing import OutgoingAudio
from voice.sfu.embedded.sdp import Description, parse


@dataclass(slots=True)
class Negotiation:
    connection: Connection
    sections: LocalSections
    send: Callable[..., None]
    on_tracks: Callable[[list[IncomingTrack]], None]
    """Everything that comes in, after each answer."""
    answer: Description | None = None
    """The last one."""
    rounds: int = 0
    """Answers so far."""
    _id: int = 0
    _open: bool = False
    _again: bool = False

    def first_offer(self) -> tuple[int, str]:
        """For the join request: its id and text."""
        return self._next(), self.sections.offer(self.connection.ours)

    def needed(self, audio: int, video: int) -> None:
        """The SFU asks for more sections, or (none) for an offer of those there are."""
        self.sections.receive(audio, video)
        self.renegotiate()

    def publish(self, track: OutgoingAudio) -> None:
        self.sections.send(track)
        self.renegotiate()

    def renegotiate(self) -> None:
        if self._open:
            self._again = True
            return
        text = self.sections.offer(self.connection.ours)
        self.send(offer=rtc.SessionDescription(type="offer", sdp=text, id=self._next()))

    def answered(self, message: Any) -> None:
        """Raises SdpError; answers to anything but the last offer are ignored."""
        if message.id not in (0, self._id):
            return
        self._open = False
        self.answer = parse(message.sdp, self.answer)
        self.rounds += 1
        self.on_tracks(self.sections.answered(self.answer))
        self.connection.remote(self.answer)
        if self._again:
            self._again = False
            self.renegotiate()

    def forget_round(self) -> None:
        """The WebSocket is another one: what was under way is lost."""
        self._open = self._again = False

    def _next(self) -> int:
        self._open = True
        self._id += 1
        return self._id
