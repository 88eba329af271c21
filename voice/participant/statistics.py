"""What a participant counted, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice.participant.connection import Connection
from voice.participant.incoming import IncomingStream, quantile
from voice.participant.listening import Listening
from voice.participant.outgoing import OutgoingAudio


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of all streams together; single ones are in `Participant.streams`. Times in ms."""

    sent: int
    resent: int
    received: int
    expected: int
    lost: int
    duplicates: int
    reordered: int
    asked_again: int
    unreadable: int
    """Packets that failed authentication or came twice; 0 where packets are not opened."""
    worst_jitter_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    negotiations: int

    @property
    def loss(self) -> float:
        """As a share of what was expected."""
        return self.lost / self.expected if self.expected else 0.0

    @classmethod
    def of(
        cls, listening: Listening, connection: Connection, tracks: Sequence[OutgoingAudio], negotiations: int
    ) -> Statistics:
        streams: Sequence[IncomingStream] = list(listening.streams.values())
        latencies = [sample for stream in streams for sample in stream.latencies_us]
        return cls(
            sent=sum(track.packets for track in tracks),
            resent=sum(track.resent for track in tracks),
            received=sum(stream.packets for stream in streams),
            expected=sum(stream.expected for stream in streams),
            lost=sum(stream.lost for stream in streams),
            duplicates=sum(stream.duplicates for stream in streams),
            reordered=sum(stream.reordered for stream in streams),
            asked_again=listening.asked,
            unreadable=connection.unreadable,
            worst_jitter_ms=max((stream.jitter_ms for stream in streams), default=0.0),
            latency_p50_ms=quantile(latencies, 0.5) / 1000,
            latency_p99_ms=quantile(latencies, 0.99) / 1000,
            negotiations=negotiations,
        )
