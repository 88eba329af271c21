"""The one buffer that packets are read into and decrypted in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from voice.sfu.embedded.transport.limits import MAX_DATAGRAM
from voice.sfu.embedded.transport.srtp import SrtpFunctions, ffi


@dataclass(slots=True, eq=False)
class Ingress:
    """Shared by all transports of a port: what is in it is theirs until they return."""

    functions: SrtpFunctions
    memory: Any
    view: memoryview
    length: Any
    now_ns: int = field(default_factory=time.monotonic_ns)
    """Read once for all that is read in one go."""

    def begin(self) -> None:
        self.now_ns = self.monotonic_ns()

    @staticmethod
    def monotonic_ns() -> int:
        return time.monotonic_ns()

    def put(self, packet: bytes) -> None:
        """What did not come by recvfrom_into: a frame of a TCP connection."""
        self.view[: len(packet)] = packet


def new_ingress(functions: SrtpFunctions) -> Ingress:
    memory = ffi.new("unsigned char[]", MAX_DATAGRAM)
    return Ingress(functions, memory, memoryview(ffi.buffer(memory)).cast("B"), ffi.new("int *"))
