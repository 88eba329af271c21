"""Linux: many datagrams in one system call."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any

import cffi

from voice.sfu.embedded.transport.addresses import SocketAddress

ffi = cffi.FFI()
ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen; int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int sendmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags);
    """
)

_WORD = 8
_NAME_WORD = 0
"""Where msg_name is in a header, in words."""
_LENGTH_WORD = 1
"""Where iov_len is in an iovec."""


def is_supported() -> bool:
    """The layout above and the tricks below hold on 64-bit little-endian Linux, whatever its C library."""
    return (
        sys.platform == "linux"
        and sys.byteorder == "little"
        and ffi.sizeof("void *") == _WORD
        and hasattr(ffi.dlopen(None), "sendmmsg")
    )


def packed_address(family: int, address: SocketAddress) -> bytes:
    """A struct sockaddr_in or sockaddr_in6."""
    if family == socket.AF_INET:
        return struct.pack("=H", family) + struct.pack("!H4s8x", address[1], socket.inet_aton(address[0]))
    flow, scope = (address[2], address[3]) if len(address) == 4 else (0, 0)
    ip = ipaddress.IPv6Address(address[0].partition("%")[0])
    return struct.pack("=H", family) + struct.pack("!HI16s", address[1], flow, ip.packed) + struct.pack("=I", scope)


@dataclass(slots=True, eq=False)
class MessageVector:
    """Headers for `count` messages, each of one slot of the same memory.

    Made once; for each message only its length and its destination are written, through memory views, which cost a
    third of what cffi's own accessors do.
    """

    lengths: memoryview
    """64-bit; message n's is at `n * length_stride + length_offset`."""
    names: memoryview
    """64-bit addresses of destinations; message n's is at `n * name_stride`."""
    name_stride: int
    length_stride: int
    length_offset: int
    _headers: Any
    _vectors: Any
    _library: Any

    def send(self, descriptor: int, first: int, count: int) -> int:
        """How many left, from message `first` on. Raises OSError (of the first one that did not) where none did."""
        sent = int(self._library.sendmmsg(descriptor, self._headers + first, count, 0))
        if sent < 0:
            number = ffi.errno
            raise OSError(number, errno.errorcode.get(number, "sendmmsg"))
        return sent


def new_vector(memory: Any, slot_bytes: int, count: int, family: int) -> MessageVector:
    """`memory` is cffi's, of at least count * slot_bytes bytes, and must outlive the vector."""
    headers, vectors = ffi.new("struct mmsghdr[]", count), ffi.new("struct iovec[]", count)
    for n in range(count):
        vectors[n].iov_base = memory + n * slot_bytes
        header = headers[n].msg_hdr
        header.msg_iov, header.msg_iovlen = ffi.addressof(vectors, n), 1
        header.msg_namelen = 16 if family == socket.AF_INET else 28
    return MessageVector(
        memoryview(ffi.buffer(vectors)).cast("B").cast("Q"),
        memoryview(ffi.buffer(headers)).cast("B").cast("Q"),
        ffi.sizeof("struct mmsghdr") // _WORD,
        ffi.sizeof("struct iovec") // _WORD,
        _LENGTH_WORD,
        headers,
        vectors,
        ffi.dlopen(None),
    )


def length_pointers(vector: MessageVector, count: int) -> list[Any]:
    """Each message's length as the `int *` that libsrtp writes to: the low half of iov_len, the upper half stays 0."""
    return [ffi.cast("int *", ffi.addressof(vector._vectors[n], "iov_len")) for n in range(count)]
