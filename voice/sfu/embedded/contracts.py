"""Where the parts of the embedded SFU meet: transport below, media in the middle, rooms above.

transport/ knows packets and peers, media/ knows RTP and RTCP, sdp/ knows descriptions, rooms/ knows participants.
Everything runs in one event loop of one worker process; nothing here is called from another thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["audio", "video"]

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"


# --- transport -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """An ICE host candidate of ours."""

    address: str
    port: int
    protocol: Literal["udp", "tcp"]
    """tcp: passive (RFC 6544)."""
    priority: int


class TransportObserver(Protocol):
    """Told by a transport. Packets are plaintext and belong to the callee (immutable bytes)."""

    def transport_connected(self) -> None:
        """ICE and DTLS are done: media and data flow from now on."""
        ...

    def transport_failed(self, reason: str) -> None:
        """DTLS failed, the fingerprint is another one, or the peer closed it. The transport is of no use any more."""
        ...

    def rtp_arrived(self, packet: bytes) -> None: ...

    def rtcp_arrived(self, packet: bytes) -> None:
        """A compound packet."""
        ...

    def channel_opened(self, label: str) -> None: ...

    def data_arrived(self, label: str, payload: bytes) -> None: ...


class MediaTransport(Protocol):
    """One peer connection of one client: ICE-lite, DTLS server, SRTP, SCTP."""

    ufrag: str
    password: str

    @property
    def connected(self) -> bool: ...

    @property
    def silent_ms(self) -> int:
        """Since the last authenticated packet (STUN, SRTP, DTLS) of the peer; since its making where none came."""
        ...

    @property
    def protocol(self) -> Literal["udp", "tcp", "none"]:
        """Over which path the peer is reached now."""
        ...

    def expect(self, fingerprint_algorithm: str, fingerprint: str) -> None:
        """The peer's certificate, from its description (e.g. "sha-256", "AB:CD:.."). DTLS waits for it."""
        ...

    def restart_ice(self) -> None:
        """New ufrag and password; DTLS and SRTP go on (a client whose network changed)."""
        ...

    def send_rtp(self, packet: bytes, second_byte: int) -> None:
        """Protect and queue a plaintext packet whose second byte (marker, payload type) is replaced on the way.

        What is queued leaves at the end of the current turn of the loop, many at once. Dropped before `connected`.
        """
        ...

    def send_rtcp(self, packet: bytes) -> None: ...

    def open_channel(self, label: str, *, reliable: bool) -> None:
        """Open a data channel ourselves (protocol v0, where the client waits for ours)."""
        ...

    def send_data(self, label: str, payload: bytes) -> bool:
        """On the channel of this label; False where it is not open or too much waits already."""
        ...

    def close(self) -> None: ...


class MediaPort(Protocol):
    """One UDP socket and one TCP listener with the same number: all transports of a worker."""

    @property
    def fingerprint(self) -> str:
        """sha-256 of our certificate, as in a=fingerprint."""
        ...

    @property
    def candidates(self) -> Sequence[Candidate]: ...

    def new_transport(self, observer: TransportObserver) -> MediaTransport: ...

    def flush(self) -> None:
        """Send what is queued now; called by timers, the reading side does it by itself."""
        ...

    def close(self) -> None: ...


# --- what a negotiation agreed on ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of one section."""

    payload_type: int
    name: str
    """As in a=rtpmap: opus, VP8, H264, rtx, ..."""
    clock_rate: int
    channels: int = 1
    parameters: str = ""
    """a=fmtp without the payload type."""
    feedback: tuple[str, ...] = ()
    """a=rtcp-fb values: "nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"."""


@dataclass(frozen=True, slots=True)
class ReceivedSection:
    """What a client sends us in one m-section, as answered."""

    mid: str
    kind: Kind
    codecs: tuple[Codec, ...]
    """Those accepted, best first, without rtx."""
    rtx: Mapping[int, int] = field(default_factory=dict)
    """Payload type of the repair stream -> payload type it repairs."""
    extensions: Mapping[str, int] = field(default_factory=dict)
    """Header extension URI -> id in the client's packets."""
    rids: tuple[str, ...] = ()
    """Simulcast layers, lowest first (q, h, f); their SSRCs are learned from the packets."""
    ssrcs: tuple[int, ...] = ()
    """Declared SSRCs of media (without simulcast)."""
    rtx_ssrcs: Mapping[int, int] = field(default_factory=dict)
    """SSRC of the repair stream -> SSRC it repairs (a=ssrc-group:FID)."""


@dataclass(frozen=True, slots=True)
class SentSection:
    """What we send to a client in one m-section."""

    mid: str
    kind: Kind
    codec: Codec
    """With the payload type of this client."""
    rtx: Codec | None = None
    extensions: Mapping[str, int] = field(default_factory=dict)
