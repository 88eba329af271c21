"""A transport, and who is told of what comes out of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from voice.sfu.embedded.contracts import MediaPort, MediaTransport
from voice.sfu.embedded.sdp import Description, LocalDescription, parse


def _ignore(*_: object) -> None:
    pass


@dataclass(slots=True)
class Wire:
    """One transport. The observer's methods are fields, so that packets reach media/ without a detour."""

    port: MediaPort
    transport_connected: Callable[[], None]
    transport_failed: Callable[[str], None]
    channel_opened: Callable[[str], None] = _ignore
    data_arrived: Callable[[str, bytes], None] = _ignore
    rtp_arrived: Callable[[bytes], None] = _ignore
    rtcp_arrived: Callable[[bytes], None] = _ignore
    transport: MediaTransport = field(init=False)
    remote: Description | None = None
    _session_id: int = field(default_factory=lambda: secrets.randbits(31) | 1)
    _version: int = 0

    def __post_init__(self) -> None:
        self.transport = self.port.new_transport(self)

    def read_offer(self, text: str) -> Description:
        """Raises SdpError. New ICE credentials of the client mean an ICE restart of both (RFC 8839 section 4.4.3)."""
        offer = parse(text, self.remote)
        if self.remote is not None and offer.ufrag != self.remote.ufrag:
            self.transport.restart_ice()
        self._adopt(offer)
        return offer

    def read_answer(self, text: str) -> Description:
        """Raises SdpError."""
        answer = parse(text, self.remote)
        self._adopt(answer)
        return answer

    def _adopt(self, remote: Description) -> None:
        self.remote = remote
        self.transport.expect(remote.fingerprint.algorithm, remote.fingerprint.value)

    def local(self) -> LocalDescription:
        """For the next description of this transport."""
        self._version += 1
        transport, port = self.transport, self.port
        return LocalDescription(
            transport.ufrag, transport.password, port.fingerprint, port.candidates, self._session_id, self._version
        )

    def close(self) -> None:
        self.rtp_arrived = self.rtcp_arrived = self.data_arrived = _ignore
        self.transport.close()
