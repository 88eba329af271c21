"""CPU of one forwarded packet, protect and send included: `python bench/voice/forwarding.py [--seconds 2]`.

A media port with as many connected transports as the fan-out, on loopback. One packet of 192 bytes after another goes
to all of them, the way the media layer forwards. The receiving sockets belong to another process, which reads nothing:
what is measured is the sender's CPU time alone (user and system) for each packet that left. On a shared machine others
cost us caches: the best slice is what the code costs, the median what it costs there and then. About 3 us are the
kernel's, of sending and, as this is loopback, of receiving.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import os
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from voice.sfu.embedded.transport import Port, open_media_port  # noqa: E402
from voice.sfu.embedded.transport import srtp as srtp_module  # noqa: E402
from voice.sfu.embedded.transport.paths import udp_path  # noqa: E402
from voice.sfu.embedded.transport.srtp import PROFILES, SrtpFunctions, best_functions, wrapping_sessions  # noqa: E402

PAYLOAD = os.urandom(180)
FAN_OUTS = (10, 50, 400)
SLICE = 1200


class Nobody:
    """An observer without interest."""

    def transport_connected(self) -> None: ...
    def transport_failed(self, reason: str) -> None: ...
    def rtp_arrived(self, packet: bytes) -> None: ...
    def rtcp_arrived(self, packet: bytes) -> None: ...
    def channel_opened(self, label: str) -> None: ...
    def data_arrived(self, label: str, payload: bytes) -> None: ...


@dataclass(frozen=True)
class Way:
    name: str
    batched: bool
    many: bool
    functions: SrtpFunctions


def receiving_sockets(count: int, pipe: multiprocessing.connection.Connection) -> None:
    """Their owner lets them fill up: the kernel then drops, at the same price for the sender."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    pipe.send([sock.getsockname()[1] for sock in sockets])
    pipe.recv()


def connected_transport(port: Port, number: int) -> Any:
    """As after a handshake: a key of his own, and an address."""
    transport: Any = port.new_transport(Nobody())
    profile = PROFILES[0]
    session = srtp_module.outgoing(profile, os.urandom(profile.key_bytes + profile.salt_bytes))
    transport._sessions = (session,)
    transport._outgoing = port._ingress.functions.context(session)
    transport._use(udp_path(port._socket, ("::ffff:127.0.0.1", number, 0, 0), lambda path: None))
    return transport


def packet(sequence: int) -> bytes:
    head = (
        bytes((0x80, 111)) + (sequence & 0xFFFF).to_bytes(2, "big") + (960 * sequence & 0xFFFFFFFF).to_bytes(4, "big")
    )
    return head + b"\x11\x22\x33\x44" + PAYLOAD


async def measure(way: Way, numbers: list[int], seconds: float) -> list[float]:
    """Microseconds of CPU for each packet, once for each slice of about 1200 packets."""
    port = await open_media_port("::", 0, ["127.0.0.1"], batched=way.batched, functions=way.functions)
    targets = [(connected_transport(port, number), 111) for number in numbers]
    costs, sequence, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        sent, cpu = port.counters.sent, time.process_time()
        for _ in range(max(1, SLICE // len(targets))):
            sequence += 1
            forward(port, way, packet(sequence), targets)
        port.flush()
        costs.append((time.process_time() - cpu) / (port.counters.sent - sent) * 1e6)
        await asyncio.sleep(0)
    assert port.counters.dropped < port.counters.sent / 100, port.counters
    port.close()
    return costs


def forward(port: Port, way: Way, plain: bytes, targets: list[tuple[Any, int]]) -> None:
    if way.many:
        port.send_rtp_to_many(plain, targets)
    else:
        for transport, second_byte in targets:
            transport.send_rtp(plain, second_byte)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receiving_sockets, args=(max(FAN_OUTS), theirs))
    process.start()
    numbers = ours.recv()
    best, public = best_functions(), wrapping_sessions()
    ways = (
        Way("sendmmsg, send_rtp_to_many", True, True, best),
        Way("sendmmsg, send_rtp each", True, False, best),
        Way("sendto, send_rtp_to_many", False, True, best),
        Way("sendto, libsrtp's public class", False, True, public),
    )
    print("| way | fan-out | us of CPU a packet, median | best slice | packets a second of a core, median |")
    print("|---|---|---|---|---|")
    for way in ways:
        for fan_out in FAN_OUTS:
            costs = asyncio.run(measure(way, numbers[:fan_out], seconds))
            median = statistics.median(costs)
            print(f"| {way.name} | {fan_out} | {median:.2f} | {min(costs):.2f} | {1e6 / median:,.0f} |", flush=True)
    ours.send(None)
    process.join()


if __name__ == "__main__":
    main()
