"""Counting at hundreds of sockets for next to nothing: one system call for each socket, numpy for all that came.

Headers of SRTP packets are clear, so a packet is counted without being opened; one of a few is opened, for it says when
it was sent. The kernel notes when a datagram arrived, which on loopback is within the sender's system call: how late the
counting itself is changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cffi
import numpy as np

ffi = cffi.FFI()
ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen; int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int recvmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
    """
)
_SO_TIMESTAMPNS = 35
_SLOTS, _SLOT_BYTES, _CONTROL_BYTES = 4096, 512, 64
_AT_ONCE = 128
_CONTROL_LENGTH_WORD, _LENGTH_WORD = 5, 7
_RECEIVE_BUFFER = 4 << 20
_NS_PER_SAMPLE = 1e9 / 48_000


@dataclass(slots=True)
class Counted:
    """Since the last call. Latencies and jitter in ms."""

    received: int
    expected: int
    streams: int
    latencies: np.ndarray
    mean_jitter: float
    worst_jitter: float

    @property
    def lost(self) -> int:
        return self.expected - self.received


@dataclass(slots=True)
class _Streams:
    """What is known of each (socket, SSRC); one array for each fact."""

    index: dict[int, int] = field(default_factory=dict)
    base: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    highest: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    received: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    transit: np.ndarray = field(default_factory=lambda: np.zeros(0))
    moves: np.ndarray = field(default_factory=lambda: np.zeros(0))
    move_count: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, key: int, sequence: int) -> None:
        self.index[key] = len(self.index)
        self.base, self.highest = np.append(self.base, sequence), np.append(self.highest, sequence - 1)
        self.received, self.move_count = np.append(self.received, 0), np.append(self.move_count, 0)
        self.transit, self.moves = np.append(self.transit, np.nan), np.append(self.moves, 0.0)

    def begin(self) -> None:
        self.base = self.highest + 1
        self.received[:] = self.moves[:] = self.move_count[:] = 0


@dataclass(slots=True)
class PacketsIn:
    """Of these sockets; `open_packet(socket number, packet)` gives the moment it was sent, None where it says nothing."""

    sockets: Sequence[socket.socket]
    open_packet: Callable[[int, bytes], int | None]
    other: Callable[[int, bytes], None]
    """What is not RTP: checks, DTLS, RTCP."""
    opens_one_in: int = 16
    _streams: _Streams = field(default_factory=_Streams)
    _latencies: list[float] = field(default_factory=list)
    _library: Any = field(default_factory=lambda: ffi.dlopen(None))
    _memory: tuple[Any, ...] = ()
    _data: Any = None
    _headers: Any = None
    _words: Any = None
    _control: Any = None
    _numbers: list[int] = field(default_factory=list)
    _turn: int = 0

    def __post_init__(self) -> None:
        for ours in self.sockets:
            ours.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._numbers = [ours.fileno() for ours in self.sockets]
        slots, control = ffi.new("char[]", _SLOTS * _SLOT_BYTES), ffi.new("char[]", _SLOTS * _CONTROL_BYTES)
        headers, vectors = ffi.new("struct mmsghdr[]", _SLOTS), ffi.new("struct iovec[]", _SLOTS)
        for n in range(_SLOTS):
            vectors[n].iov_base, vectors[n].iov_len = slots + n * _SLOT_BYTES, _SLOT_BYTES
            header = headers[n].msg_hdr
            header.msg_iov, header.msg_iovlen = ffi.addressof(vectors, n), 1
            header.msg_control, header.msg_controllen = control + n * _CONTROL_BYTES, _CONTROL_BYTES
        self._memory = (slots, control, vectors)
        self._headers = headers
        self._data = np.frombuffer(ffi.buffer(slots), np.uint8).reshape(_SLOTS, _SLOT_BYTES)
        self._words = np.frombuffer(ffi.buffer(headers), np.uint64).reshape(_SLOTS, 8)
        self._control = np.frombuffer(ffi.buffer(control), np.int64).reshape(_SLOTS, 8)

    def read(self) -> None:
        """All that waits at all sockets."""
        receive, headers = self._library.recvmmsg, self._headers
        n, owners, counts = 0, [], []
        for owner, number in enumerate(self._numbers):
            while True:
                got = receive(number, headers + n, _AT_ONCE, socket.MSG_DONTWAIT, ffi.NULL)
                if got <= 0:
                    break
                owners.append(owner)
                counts.append(got)
                n += got
                if n > _SLOTS - _AT_ONCE:
                    self._take(n, owners, counts)
                    n, owners, counts = 0, [], []
                if got < _AT_ONCE:
                    break
        self._take(n, owners, counts)

    def counted(self) -> Counted:
        """Until now, and begin anew."""
        streams = self._streams
        alive = streams.received > 0
        jitter = streams.moves[alive] / np.maximum(streams.move_count[alive], 1) / 1e6
        result = Counted(
            int(streams.received.sum()),
            int((streams.highest - streams.base + 1)[alive].sum()),
            int(alive.sum()),
            np.array(self._latencies),
            float(jitter.mean()) if len(jitter) else 0.0,
            float(jitter.max()) if len(jitter) else 0.0,
        )
        streams.begin()
        self._latencies = []
        return result

    def heard(self, owner: int) -> list[tuple[int, int, int]]:
        """SSRC, highest sequence number and jitter (in samples) of this socket's streams: what receiver reports say."""
        streams, found = self._streams, []
        for key, n in streams.index.items():
            if key >> 32 == owner:
                jitter = streams.moves[n] / max(1, streams.move_count[n]) / _NS_PER_SAMPLE
                found.append((key & 0xFFFFFFFF, int(streams.highest[n]), int(jitter)))
        return found

    def _take(self, n: int, owners: list[int], counts: list[int]) -> None:
        if not n:
            return
        who = np.repeat(np.array(owners), np.array(counts))
        data, sizes = self._data[:n], self._words[:n, _LENGTH_WORD] & 0xFFFFFFFF
        media = (data[:, 0] >> 6 == 2) & ((data[:, 1] < 192) | (data[:, 1] > 223))
        for i in np.flatnonzero(~media):
            self.other(int(who[i]), data[i, : sizes[i]].tobytes())
        arrived = self._control[:n, 2] * 1_000_000_000 + self._control[:n, 3]
        rows = np.flatnonzero(media)
        if len(rows):
            self._count(who[rows], data[rows, :12], arrived[rows])
            self._open_some(rows, who, sizes, arrived)
        self._words[:n, _CONTROL_LENGTH_WORD] = _CONTROL_BYTES

    def _count(self, who: np.ndarray, heads: np.ndarray, arrived: np.ndarray) -> None:
        streams = self._streams
        sequence = heads[:, 2].astype(np.int64) << 8 | heads[:, 3]
        timestamp = np.ascontiguousarray(heads[:, 4:8]).view(">u4")[:, 0].astype(np.int64)
        ssrc = np.ascontiguousarray(heads[:, 8:12]).view(">u4")[:, 0].astype(np.int64)
        keys, first, inverse = np.unique(who << 32 | ssrc, return_index=True, return_inverse=True)
        for key, at in zip(keys.tolist(), first.tolist(), strict=True):
            if key not in streams.index:
                streams.add(key, int(sequence[at]))
        n = np.array([streams.index[key] for key in keys.tolist()])[inverse]
        highest = streams.highest[n]
        np.maximum.at(streams.highest, n, highest + ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000)
        np.add.at(streams.received, n, 1)
        self._measure_jitter(n, arrived - timestamp * _NS_PER_SAMPLE)

    def _measure_jitter(self, n: np.ndarray, transit: np.ndarray) -> None:
        """RFC 3550 section 6.4.1, but the plain mean of the differences and not a moving one."""
        streams = self._streams
        order = np.argsort(n, kind="stable")
        n, transit = n[order], transit[order]
        begins = np.append(True, n[1:] != n[:-1])
        before = np.where(begins, streams.transit[n], np.append(0.0, transit[:-1]))
        moves = np.abs(transit - before)
        valid = moves < 10e9  # not the first of a stream, and no wrap of its timestamps
        np.add.at(streams.moves, n[valid], moves[valid])
        np.add.at(streams.move_count, n[valid], 1)
        ends = np.append(begins[1:], True)
        streams.transit[n[ends]] = transit[ends]

    def _open_some(self, rows: np.ndarray, who: np.ndarray, sizes: np.ndarray, arrived: np.ndarray) -> None:
        for i in rows[self._turn % self.opens_one_in :: self.opens_one_in].tolist():
            sent = self.open_packet(int(who[i]), self._data[i, : sizes[i]].tobytes())
            if sent is not None:
                self._latencies.append((int(arrived[i]) - sent) / 1e6)
        self._turn += 1
