"""What leaves a port by UDP: packets are protected where they lie and go out many at once.

Each packet has a slot: the plaintext is copied in, encrypted in place, and sent from there. With `sendmmsg` a whole
batch is one system call; elsewhere it is one each.
"""

from __future__ import annotations

import asyncio
import errno
import selectors
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from voice.sfu.embedded.transport import sendmmsg
from voice.sfu.embedded.transport.addresses import SocketAddress
from voice.sfu.embedded.transport.counters import Counters
from voice.sfu.embedded.transport.limits import MAX_PACKET
from voice.sfu.embedded.transport.srtp import TRAILER, InPlace, ffi

SLOTS = 64
_SLOT_BYTES = 2048
_BLOCKED = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)
_PATIENCE_SECONDS = 0.002
"""How long a full socket buffer is waited for. The card empties it in that time; a dead one costs no more than this."""


class Destination(Protocol):
    """Where a transport's packets go, and under which key."""

    egress_context: Any
    """What libsrtp's functions take; None while there is no key, or the path is not UDP."""
    egress_address: SocketAddress
    egress_pointer: int
    """Address of the packed form, in memory that lives until the path is forgotten; 0 without sendmmsg."""

    def send_aside(self, packet: bytes, second_byte: int) -> None:
        """Asked where there is no context: over TCP, or not at all."""
        ...


@dataclass(slots=True, eq=False)
class Egress:
    """Preallocated slots of one port. Only ever used from its event loop."""

    protect: InPlace
    protect_rtcp: InPlace
    loss: Callable[[], bool] | None
    counters: Counters
    _socket: socket.socket
    _vector: sendmmsg.MessageVector | None
    _memory: Any
    _slots: list[Any]
    _views: list[memoryview]
    _lengths: list[Any]
    _addresses: list[SocketAddress]
    _queued: int = 0
    _held: bool = False
    _scheduled: bool = False

    # --- filling -------------------------------------------------------------------------------------------------

    def rtp(self, to: Destination, packet: bytes, second_byte: int) -> None:
        self.rtp_to_many(packet, ((to, second_byte),))

    def rtp_to_many(self, packet: bytes, targets: Sequence[tuple[Destination, int]]) -> None:
        """The same plaintext to each, with another second byte; those without a context look after themselves.

        The hottest loop of the program: all it needs is in local names, and nothing is made for each packet.
        """
        size = len(packet)
        if size > MAX_PACKET:
            self.counters.dropped += len(targets)
            return
        vector, loss, protect = self._vector, self.loss, self.protect
        slots, views, lengths, addresses = self._slots, self._views, self._lengths, self._addresses
        names, stride = (vector.names, vector.name_stride) if vector else (None, 0)
        n = self._queued
        for target, second_byte in targets:
            context = target.egress_context
            if context is None:
                target.send_aside(packet, second_byte)
                continue
            view, length = views[n], lengths[n]
            view[:size] = packet
            view[1] = second_byte
            length[0] = size
            if protect(context, slots[n], length) or (loss is not None and loss()):
                self.counters.dropped += 1
                continue
            if names is None:
                addresses[n] = target.egress_address
            else:
                names[n * stride] = target.egress_pointer
            n += 1
            if n == SLOTS:
                self._queued = n
                self.flush()
                n = 0
        self._queued = n
        if n and not self._held and not self._scheduled:
            self._schedule()

    def rtcp(self, to: Destination, packet: bytes) -> None:
        size, n = len(packet), self._queued
        if to.egress_context is None or size > MAX_PACKET:
            self.counters.dropped += 1
            return
        self._views[n][:size] = packet
        self._lengths[n][0] = size
        if self.protect_rtcp(to.egress_context, self._slots[n], self._lengths[n]):
            self.counters.dropped += 1
            return
        if self._vector is None:
            self._addresses[n] = to.egress_address
        else:
            self._vector.names[n * self._vector.name_stride] = to.egress_pointer
        self._queued = n + 1
        if self._queued == SLOTS:
            self.flush()
        elif not self._held and not self._scheduled:
            self._schedule()

    def protected(self, function: InPlace, context: Any, packet: bytes, second_byte: int | None = None) -> bytes | None:
        """Encrypted, but not queued: for peers who are not reached by UDP. In the slot behind the last."""
        n, size = SLOTS, len(packet)
        if size > MAX_PACKET:
            return None
        self._views[n][:size] = packet
        if second_byte is not None:
            self._views[n][1] = second_byte
        self._lengths[n][0] = size
        if function(context, self._slots[n], self._lengths[n]):
            return None
        return bytes(self._views[n][: self._lengths[n][0]])

    # --- leaving -------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Somebody reads many packets in a row and calls `release` at the end."""
        self._held = True

    def release(self) -> None:
        self._held = False
        self.flush()

    def _schedule(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self._scheduled_flush)

    def _scheduled_flush(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        count, self._queued = self._queued, 0
        if not count or self._socket.fileno() < 0:
            return
        if self._vector is None:
            self._send_each(count)
        else:
            self._send_vector(self._vector, count)

    def _send_vector(self, vector: sendmmsg.MessageVector, count: int) -> None:
        first, descriptor, waited = 0, self._socket.fileno(), False
        while first < count:
            try:
                sent = vector.send(descriptor, first, count - first)
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                if error.errno in _BLOCKED:
                    if waited or not self._becomes_writable():
                        self.counters.dropped += count - first
                        return
                    waited = True
                    continue
                # Unreachable, forbidden by a firewall, too big for the path: this one is lost, not those behind it.
                self.counters.dropped += 1
                first += 1
                continue
            self.counters.sent += sent
            first += sent

    def _send_each(self, count: int) -> None:
        sendto, counters = self._socket.sendto, self.counters
        waited = False
        for n in range(count):
            packet = self._views[n][: self._lengths[n][0]]
            try:
                sendto(packet, self._addresses[n])
            except OSError as error:
                if error.errno not in _BLOCKED or waited or not self._becomes_writable():
                    counters.dropped += 1
                    continue
                waited = True
                counters.sent += self._once_more(packet, self._addresses[n])
            else:
                counters.sent += 1

    def _once_more(self, packet: memoryview, address: SocketAddress) -> int:
        try:
            self._socket.sendto(packet, address)
        except OSError:
            self.counters.dropped += 1
            return 0
        return 1

    def _becomes_writable(self) -> bool:
        """A burst to hundreds may be more than the socket's buffer; the loop is better late than the room silent."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_WRITE)
            return bool(selector.select(_PATIENCE_SECONDS))


def new_egress(
    sock: socket.socket,
    counters: Counters,
    protect: InPlace,
    protect_rtcp: InPlace,
    *,
    loss: Callable[[], bool] | None,
    batched: bool,
) -> Egress:
    """`batched`: with sendmmsg, where the system has it."""
    assert MAX_PACKET + TRAILER <= _SLOT_BYTES
    slots = range(SLOTS + 1)
    memory = ffi.new("unsigned char[]", len(slots) * _SLOT_BYTES)
    whole = memoryview(ffi.buffer(memory)).cast("B")
    vector = sendmmsg.new_vector(memory, _SLOT_BYTES, len(slots), sock.family) if batched else None
    lengths = sendmmsg.length_pointers(vector, len(slots)) if vector else [ffi.new("int *") for _ in slots]
    return Egress(
        protect,
        protect_rtcp,
        loss,
        counters,
        sock,
        vector,
        memory,
        [memory + n * _SLOT_BYTES for n in slots],
        [whole[n * _SLOT_BYTES : (n + 1) * _SLOT_BYTES] for n in slots],
        lengths,
        [("", 0)] * len(slots),
    )
