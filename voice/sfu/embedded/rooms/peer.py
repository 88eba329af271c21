"""What a room asks of the peer connections of a participant, and what they tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from voice.sfu.embedded.rooms.followings import Following
    from voice.sfu.embedded.rooms.publications import Publication


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one participant's paths: shares 0..1, and ms."""

    loss: float = 0.0
    rtt_ms: float = 0.0
    jitter_ms: float = 0.0


class Peer(Protocol):
    """One peer connection (v1), or one each way (v0)."""

    @property
    def silent_ms(self) -> int:
        """Since the last packet of the client on any of them."""
        ...

    def offer_arrived(self, offer: Any) -> None:
        """Raises SdpError."""
        ...

    def answer_arrived(self, answer: Any) -> None:
        """Raises SdpError."""
        ...

    def negotiate_soon(self) -> None:
        """What the participant follows has changed."""
        ...

    def stop(self, following: Following) -> None:
        """Send no more of it; its section is given back at the next negotiation."""
        ...

    def end(self, publication: Publication) -> None:
        """Take no more of it."""
        ...

    def resumed(self) -> None:
        """The client has a new WebSocket, and perhaps a new network."""
        ...

    def tick(self) -> None:
        """Twice a second."""
        ...

    def qualities(self) -> Sequence[Quality]: ...

    def send_data(self, label: str, payload: bytes) -> bool: ...

    def close(self) -> None: ...


class PeerEvents(Protocol):
    """Told by the peer of one participant."""

    def connected(self) -> None:
        """Media can flow both ways."""
        ...

    def failed(self, reason: str) -> None:
        """The client has to connect anew."""
        ...

    def published(self, publications: Sequence[Publication]) -> None:
        """They are negotiated, and packets may come."""
        ...

    def unpublished(self, publications: Sequence[Publication]) -> None:
        """The client sends them no more, or in no codec of ours."""
        ...

    def followed(self, following: Following) -> None:
        """It flows."""
        ...

    def unsupported(self, following: Following) -> None:
        """The client does not know its codec."""
        ...

    def data_arrived(self, label: str, payload: bytes) -> None: ...
