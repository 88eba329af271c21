"""A session description as a value: what of an SDP text matters to a selective forwarding unit, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from voice.sfu.embedded.contracts import Codec

SectionKind = Literal["audio", "video", "application"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]


class SdpError(ValueError):
    """The text is no session description we can work with. The message may be shown to the client who sent it."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of the peer's certificate (RFC 8122)."""

    algorithm: str
    """Lower case: sha-256, sha-384 or sha-512."""
    value: str
    """Upper case hexadecimal with colons."""


@dataclass(frozen=True, slots=True)
class TransportAttributes:
    """ICE and DTLS attributes, of the session or of one section; empty where they are not written."""

    ufrag: str = ""
    password: str = ""
    setup: str = ""
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One m-section, as its writer sees it: `direction` and `ssrcs` are his."""

    kind: SectionKind | None
    """None: a kind we do not know, which can only be rejected."""
    media: str
    """The word after m=."""
    port: int
    protocol: str
    formats: tuple[str, ...]
    mid: str = ""
    direction: Direction = "sendrecv"
    bundle_only: bool = False
    rtcp_mux: bool = False
    stream_id: str = ""
    track_id: str = ""
    """Second word of a=msid: in LiveKit's protocol the `cid` of `add_track`."""
    codecs: tuple[Codec, ...] = ()
    """In order of preference, repair formats left out."""
    rtx: Mapping[int, int] = field(default_factory=dict)
    """Payload type of the repair stream -> payload type it repairs."""
    extensions: Mapping[str, int] = field(default_factory=dict)
    """Header extension URI -> id."""
    ssrcs: tuple[int, ...] = ()
    """SSRCs of media, in the order written, without those of repair streams."""
    rtx_ssrcs: Mapping[int, int] = field(default_factory=dict)
    """SSRC of the repair stream -> SSRC it repairs."""
    cname: str = ""
    rids: tuple[str, ...] = ()
    """Simulcast layers its writer offers to send, in the order written."""
    sctp_port: int = 0
    max_message_size: int = 65_536
    """Bytes; RFC 8841 says 64 K where it is not written."""
    candidates: tuple[str, ...] = ()
    """Values of a=candidate, unread."""
    transport: TransportAttributes = field(default_factory=TransportAttributes)
    digest: int = 0
    """Of the section's text and the attributes it inherits; equal digests of one process mean equal sections."""

    @property
    def is_rejected(self) -> bool:
        """Port 0 means so, unless the section is offered for a bundle only (RFC 8843 section 6), as Firefox does."""
        return self.port == 0 and not self.bundle_only

    @property
    def sends(self) -> bool:
        """Its writer sends here, or wants to."""
        return not self.is_rejected and self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        """Its writer receives here, or wants to."""
        return not self.is_rejected and self.direction in ("sendrecv", "recvonly")


@dataclass(frozen=True, slots=True)
class Description:
    """A whole offer or answer of a peer."""

    sections: tuple[Section, ...]
    ufrag: str
    password: str
    fingerprint: Fingerprint
    setup: str
    """actpass, active, passive, or empty."""
    bundle: tuple[str, ...] = ()
    """The mids of the (first) BUNDLE group."""
    ice_lite: bool = False

    def section(self, mid: str) -> Section | None:
        """The section with this mid."""
        return next((section for section in self.sections if section.mid == mid), None)
