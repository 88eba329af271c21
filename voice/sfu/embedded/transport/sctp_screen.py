"""A look at an SCTP packet before aiortc reads it: whether reading it takes bounded time and memory."""

from __future__ import annotations

from collections.abc import Iterator

from voice.sfu.embedded.transport.limits import MAX_GAP_SPAN, MAX_STREAM_ID

_COMMON_HEADER = 12
_CHUNK_HEADER = 4
_MAX_CHUNKS = 128
"""A packet of full size made of nothing but the smallest DATA chunks has about 60."""

_DATA, _INIT, _INIT_ACK, _SACK, _HEARTBEAT, _HEARTBEAT_ACK, _ABORT, _ERROR = 0, 1, 2, 3, 4, 5, 6, 9
_RECONFIG, _FORWARD_TSN = 130, 192
_FIXED_BEFORE_PARAMETERS = {
    _INIT: 16,
    _INIT_ACK: 16,
    _HEARTBEAT: 0,
    _HEARTBEAT_ACK: 0,
    _ABORT: 0,
    _ERROR: 0,
    _RECONFIG: 0,
}


def is_harmless(packet: bytes) -> bool:
    """Checks lengths of parameters, the span of gap blocks and stream numbers; all else is aiortc's to refuse."""
    for count, (kind, body) in enumerate(_chunks(packet)):
        if count == _MAX_CHUNKS or not _is_harmless_chunk(kind, body):
            return False
    return True


def _chunks(packet: bytes) -> Iterator[tuple[int, bytes]]:
    at = _COMMON_HEADER
    while at + _CHUNK_HEADER <= len(packet):
        length = int.from_bytes(packet[at + 2 : at + 4], "big")
        if length < _CHUNK_HEADER:
            # aiortc refuses the whole packet here.
            return
        yield packet[at], packet[at + _CHUNK_HEADER : at + length]
        at += length + (-length % 4)


def _is_harmless_chunk(kind: int, body: bytes) -> bool:
    if kind == _DATA:
        return int.from_bytes(body[4:6], "big") < MAX_STREAM_ID
    if kind == _SACK:
        return _gaps_are_bounded(body)
    if kind == _FORWARD_TSN:
        return all(int.from_bytes(body[at : at + 2], "big") < MAX_STREAM_ID for at in range(4, len(body), 4))
    fixed = _FIXED_BEFORE_PARAMETERS.get(kind)
    return fixed is None or _parameters_advance(body, fixed)


def _gaps_are_bounded(body: bytes) -> bool:
    """None ends before it starts, and together they are not more than a sender could have under way."""
    span, end = 0, 12 + 4 * int.from_bytes(body[8:10], "big")
    for at in range(12, min(end, len(body)), 4):
        first, last = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        span += last - first + 1
        if last < first or span > MAX_GAP_SPAN:
            return False
    return True


def _parameters_advance(body: bytes, at: int) -> bool:
    """A parameter's length includes its own header of 4 bytes (RFC 9260 section 3.2.1)."""
    while at + _CHUNK_HEADER <= len(body):
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        if length < _CHUNK_HEADER:
            return False
        at += length + (-length % 4)
    return True
