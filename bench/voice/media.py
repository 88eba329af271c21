"""Cost of the media part alone: CPU time of this process per forwarded packet, with transports that do nothing.

python -m bench.voice.media
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import count

from voice.sfu.embedded.contracts import AUDIO_LEVEL, MID, RID, TRANSPORT_CC, Codec, ReceivedSection, SentSection
from voice.sfu.embedded.media import MediaRoom, Receiver, Sender

OPUS = Codec(111, "opus", 48_000, 2, feedback=("nack", "transport-cc"))
VP8 = Codec(96, "VP8", 90_000, feedback=("nack", "nack pli", "transport-cc"))
RTX = Codec(97, "rtx", 90_000)
EXTENSIONS = {MID: 4, RID: 5, AUDIO_LEVEL: 1, TRANSPORT_CC: 3}
LEVEL_AND_SEQUENCE = b"\xbe\xde\x00\x02" + bytes((0x10, 30, 0x31)) + b"\x00\x07" + b"\x40\x31" + b"\x00"
AUDIO_PAYLOAD = bytes(150)
VIDEO_PAYLOAD = bytes(1100)
PACKETS = 4000
"""At most this many in one measurement, so that allowances last."""


class Silent:
    """A transport that drops what it is given."""

    ufrag = password = ""
    connected = True
    silent_ms = 0
    protocol = "udp"

    def send_rtp(self, packet: bytes, second_byte: int) -> None: ...

    def send_rtcp(self, packet: bytes) -> None: ...


class Ticking:
    """20 ms (divided by the rate of packets) pass with every packet; told by hand, so that it costs little."""

    ns = 1_000_000_000

    def __call__(self) -> int:
        return self.ns


def drop(packet: bytes, targets: Sequence[object]) -> None: ...


def header(payload_type: int, sequence: int, timestamp: int) -> bytes:
    head = bytes((0x90, payload_type)) + (sequence & 0xFFFF).to_bytes(2) + (timestamp & 0xFFFFFFFF).to_bytes(4)
    return head + (9).to_bytes(4) + LEVEL_AND_SEQUENCE


def measure(
    room: MediaRoom, clock: Ticking, receive: Callable[[bytes], None], packets: Sequence[bytes], gap_ns: int
) -> float:
    """Microseconds of CPU per packet that came in, ticks included."""
    tick_ns = clock.ns
    started = time.process_time_ns()
    for packet in packets:
        receive(packet)
        clock.ns += gap_ns
        if clock.ns - tick_ns >= 20_000_000:
            tick_ns = clock.ns
            room.tick(clock.ns)
    return (time.process_time_ns() - started) / 1000 / len(packets)


def audio(listeners: int, *, at_once: bool) -> float:
    clock = Ticking()
    room = MediaRoom(clock, 5, 20, drop) if at_once else MediaRoom(clock, 5, 20)
    track = room.publish("TR_a", "PA_a", "audio", "microphone")
    receiver = Receiver(room, Silent())  # type: ignore[arg-type]
    receiver.update([(ReceivedSection("0", "audio", (OPUS,), extensions=EXTENSIONS, ssrcs=(9,)), track)])
    for _ in range(listeners):
        Sender(room, Silent()).subscribe(track, SentSection("1", "audio", OPUS))  # type: ignore[arg-type]
    packets = [header(111, number, number * 960) + AUDIO_PAYLOAD for number in range(PACKETS)]
    return measure(room, clock, receiver.rtp, packets, 20_000_000)


def video(viewers: int) -> float:
    clock = Ticking()
    room = MediaRoom(clock, 5, 20)
    track = room.publish("TR_v", "PA_a", "video", "camera")
    receiver = Receiver(room, Silent())  # type: ignore[arg-type]
    receiver.update([(ReceivedSection("0", "video", (VP8,), extensions=EXTENSIONS, ssrcs=(9,)), track)])
    for _ in range(viewers):
        Sender(room, Silent()).subscribe(track, SentSection("1", "video", VP8, RTX))  # type: ignore[arg-type]
    pictures = count()
    packets = []
    for number in range(PACKETS):
        picture = next(pictures) & 0x7FFF
        descriptor = (
            b"\x90\xe0" + (0x8000 | picture).to_bytes(2) + b"\x01\x00" + bytes((0 if number % 300 == 0 else 1,))
        )
        packets.append(header(96, number, number * 900) + descriptor + VIDEO_PAYLOAD)
    return measure(room, clock, receiver.rtp, packets, 5_000_000)


def best(run: Callable[[], float]) -> float:
    return min(run() for _ in range(5))


def main() -> None:
    one = {at_once: best(lambda at_once=at_once: audio(0, at_once=at_once)) for at_once in (True, False)}  # type: ignore[misc]
    print(f"audio, no listener:            {one[True]:6.2f} us a packet in")
    for listeners in (1, 10, 50, 400):
        for at_once in (True, False):
            cost = best(lambda: audio(listeners, at_once=at_once))  # noqa: B023
            way = "send_rtp_to_many" if at_once else "send_rtp each   "
            print(
                f"audio, {listeners:3} listeners, {way}: {cost:6.2f} us a packet in, {cost / listeners:5.2f} us a forwarded one, "
                f"{(cost - one[at_once]) / listeners:5.2f} us for each listener"
            )
    for viewers in (1, 10, 50):
        cost = best(lambda: video(viewers))  # noqa: B023
        print(f"video, {viewers:3} viewers: {cost:6.2f} us a packet in, {cost / viewers:5.2f} us a forwarded one")


if __name__ == "__main__":
    main()
