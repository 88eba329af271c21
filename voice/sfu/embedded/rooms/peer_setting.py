"""What the peer connections of one participant are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voice.sfu.embedded.contracts import MediaPort, MediaTransport
from voice.sfu.embedded.media import MediaRoom, Receiver, Sender
from voice.sfu.embedded.rooms.followings import Followings
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.publications import Publications
from voice.sfu.embedded.sdp import AudioPolicy


@dataclass(frozen=True, slots=True)
class PeerSetting:
    port: MediaPort
    media: MediaRoom
    publications: Publications
    followings: Followings
    priority: Callable[[], bool]
    """Whether he is heard however many talk."""
    audio: Callable[[], AudioPolicy]
    """Of the room, as it is now."""
    limits: RoomLimits
    now: Callable[[], int]
    """Monotonic ms."""
    room_size: Callable[[], int]
    send: Callable[..., None]
    """A SignalResponse with this one field, to whatever WebSocket the participant has now."""

    def new_receiver(self, transport: MediaTransport) -> Receiver:
        return Receiver(self.media, transport)

    def new_sender(self, transport: MediaTransport) -> Sender:
        return Sender(self.media, transport)
