"""One number for UDP and TCP, for both families where the system has both."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator

from voice.sfu.embedded.transport.addresses import is_any

_BUFFER_BYTES = 4 << 20
"""A burst to hundreds of listeners, and what arrives while the loop does something else. The system may give less."""
_ATTEMPTS = 20
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
"""Linux: above the system's limit, for privileged processes."""


def bind_both(bind: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a TCP socket that listens nowhere yet, of the same number. Raises OSError.

    With port 0 the system picks a number for UDP; where TCP has it in use already, another is tried.
    """
    for attempt in range(_ATTEMPTS):
        udp = _bound(bind, port, socket.SOCK_DGRAM)
        try:
            return udp, _bound(bind, udp.getsockname()[1], socket.SOCK_STREAM)
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _bound(bind: str, port: int, kind: socket.SocketKind) -> socket.socket:
    failure: OSError | None = None
    for family, host in _families(bind):
        try:
            return _bound_in(family, host, port, kind)
        except OSError as error:
            failure = error
            if error.errno == errno.EADDRINUSE:
                break
    raise failure or OSError(errno.EADDRNOTAVAIL, f"{bind!r} is no address.")


def _families(bind: str) -> Iterator[tuple[socket.AddressFamily, str]]:
    """IPv6 first, as its socket takes IPv4 as well; IPv4 where the kernel has no IPv6."""
    if is_any(bind):
        if socket.has_ipv6:
            yield socket.AF_INET6, "::"
        yield socket.AF_INET, "0.0.0.0"  # noqa: S104 - what the operator asked for
    elif ":" in bind:
        yield socket.AF_INET6, bind
    else:
        yield socket.AF_INET, bind


def _bound_in(family: socket.AddressFamily, host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM and sys.platform != "win32":
            # A worker that starts again must not wait for the connections of the one before.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_DGRAM:
            _enlarge(sock)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _enlarge(sock: socket.socket) -> None:
    for option, forced in ((socket.SO_RCVBUF, _SO_RCVBUFFORCE), (socket.SO_SNDBUF, _SO_SNDBUFFORCE)):
        if not (sys.platform == "linux" and _set_buffer(sock, forced)):
            _set_buffer(sock, option)


def _set_buffer(sock: socket.socket, option: int) -> bool:
    """macOS refuses more than its limit instead of cutting it: then half, and half again."""
    size = _BUFFER_BYTES
    while size >= 1 << 16:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        except PermissionError:
            return False
        except OSError:
            size //= 2
        else:
            return True
    return False
