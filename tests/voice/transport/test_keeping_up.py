"""A worker that has more to do than it can: late packets are thrown away, and other work gets its turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from tests.voice.transport.peer import PATIENCE, Peer, Recorder, peer, rtp, soon, udp_wire
from voice.sfu.embedded.transport import Port
from voice.sfu.embedded.transport.ingress import Ingress
from voice.sfu.embedded.transport.limits import DATAGRAMS_A_TURN, SENT_A_TURN, TOO_LATE_NS


@dataclass
class SlowClock:
    """Stands still, but for what packets are said to cost."""

    now_ns: int
    cost_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SlowClock:
    made = SlowClock(time.monotonic_ns())
    monkeypatch.setattr(Ingress, "monotonic_ns", staticmethod(made))
    return made


@dataclass
class Busy(Recorder):
    """Whatever is above the port takes its time for each packet."""

    clock: SlowClock | None = None

    def rtp_arrived(self, packet: bytes) -> None:
        super().rtp_arrived(packet)
        if self.clock is not None:
            self.clock.now_ns += self.clock.cost_ns


@dataclass
class Forwarder(Recorder):
    forward: Callable[[bytes], None] | None = None

    def rtp_arrived(self, packet: bytes) -> None:
        super().rtp_arrived(packet)
        if self.forward is not None:
            self.forward(packet)


async def joined(stack: AsyncExitStack, port: Port, observer: Recorder) -> Peer:
    person = await stack.enter_async_context(peer(udp_wire(port), port.new_transport(observer)))
    await person.connect()
    await asyncio.wait_for(observer.connected.wait(), PATIENCE)
    return person


async def test_what_waited_too_long_is_thrown_away(port: Port, clock: SlowClock) -> None:
    async with AsyncExitStack() as stack:
        observer = Busy(clock=clock)
        alice = await joined(stack, port, observer)
        clock.cost_ns = 2 * TOO_LATE_NS // DATAGRAMS_A_TURN
        for number in range(2 * DATAGRAMS_A_TURN):
            alice.send_rtp(rtp(number))
        while port.counters.late == 0:
            await asyncio.sleep(0)
        assert (observer.rtp.qsize(), port.counters.late) == (DATAGRAMS_A_TURN, DATAGRAMS_A_TURN)

        while not observer.rtp.empty():
            observer.rtp.get_nowait()
        alice.send_rtp(rtp(5000))
        assert await soon(observer.rtp) == rtp(5000)


async def test_a_port_that_keeps_up_throws_nothing_away(port: Port, clock: SlowClock) -> None:
    async with AsyncExitStack() as stack:
        observer = Busy(clock=clock)
        alice = await joined(stack, port, observer)
        clock.cost_ns = 10 * TOO_LATE_NS
        for number in range(20):
            alice.send_rtp(rtp(number))
            assert await soon(observer.rtp) == rtp(number)
        assert port.counters.late == 0


async def test_a_packet_to_hundreds_counts_for_hundreds(port: Port) -> None:
    """Else one turn of the loop could last a second, and nobody's WebSocket be read meanwhile."""
    async with AsyncExitStack() as stack:
        observer = Forwarder()
        alice = await joined(stack, port, observer)
        targets = [(alice.transport, 111)] * (SENT_A_TURN // 4)
        observer.forward = lambda packet: port.send_rtp_to_many(packet, targets)
        for number in range(20):
            alice.send_rtp(rtp(number))
        port._drain()
        assert 4 <= observer.rtp.qsize() <= 5
        for number in range(20):
            assert await soon(observer.rtp) == rtp(number)
