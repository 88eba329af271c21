"""ICE-lite, DTLS, SRTP and SCTP for all clients of a worker, on one number (README.md)."""

from voice.sfu.embedded.transport.counters import Counters
from voice.sfu.embedded.transport.port import Port, open_media_port

__all__ = ["Counters", "Port", "open_media_port"]
