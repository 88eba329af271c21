"""RTCP as it is on the wire: written, read back, and read when it makes no sense."""

from __future__ import annotations

import random
import struct

from tests.voice.media.studio import EXTENSIONS, OPUS, Camera, Listener, RecordingTransport, Speaker, StillClock, write
from voice.sfu.embedded.contracts import ReceivedSection
from voice.sfu.embedded.media import MediaRoom, Receiver, rtcp
from voice.sfu.embedded.media.rtp import plausible, read_header
from voice.sfu.embedded.media.transport_cc import MAX_STATUSES, Arrivals

MS = 1_000_000


def read_transport_cc(packet: bytes) -> tuple[int, dict[int, int]]:
    """Feedback count, and {sequence: time in us} of those that arrived, after the draft's section 3.1."""
    first, kind, words = struct.unpack_from(">BBH", packet)
    assert first & 0x1F == 15
    assert kind == 205
    assert len(packet) == 4 + 4 * words
    base, count, reference = struct.unpack_from(">HHI", packet, 12)
    statuses: list[int] = []
    position = 20
    while len(statuses) < count:
        (chunk,) = struct.unpack_from(">H", packet, position)
        position += 2
        if chunk & 0x8000:
            statuses += [chunk >> (12 - 2 * place) & 3 for place in range(7)]
            assert chunk & 0x4000
        else:
            statuses += [chunk >> 13] * (chunk & 0x1FFF)
    time = (reference >> 8) * 64_000
    arrived = {}
    for place, status in enumerate(statuses[:count]):
        if status == 1:
            time += packet[position] * 250
            position += 1
        elif status == 2:
            time += struct.unpack_from(">h", packet, position)[0] * 250
            position += 2
        if status:
            arrived[(base + place) & 0xFFFF] = time
    padding = packet[-1] if first & 0x20 else 0
    assert position + padding == len(packet)
    return reference & 0xFF, arrived


def all_arrived(packets: list[bytes]) -> dict[int, int]:
    return {number: time for packet in packets for number, time in read_transport_cc(packet)[1].items()}


def close_to(times: dict[int, int], expected: dict[int, int]) -> bool:
    return times.keys() == expected.keys() and all(
        abs(times[number] - expected[number] / 1000 % (64_000 << 24)) <= 250 for number in times
    )


def test_arrivals_are_told_with_their_times() -> None:
    arrivals = Arrivals()
    chance = random.Random(3)
    now = 5_000_000_000_000
    expected = {}
    for number in range(65_400, 65_900):
        now += chance.choice((0, 100_000, 3 * MS, 40 * MS, 90 * MS))
        if chance.random() < 0.8:
            arrivals.arrived(number & 0xFFFF, now)
            expected[number & 0xFFFF] = now
    packets = arrivals.feedback(1, 2, now)
    assert all(len(packet) < 1200 for packet in packets)
    assert close_to(all_arrived(packets), expected)
    assert [read_transport_cc(packet)[0] for packet in packets] == list(range(len(packets)))


def test_lost_packets_between_two_reports_are_covered() -> None:
    arrivals = Arrivals()
    arrivals.arrived(10, 1000 * MS)
    arrivals.feedback(1, 2, 1000 * MS)
    arrivals.arrived(15, 1010 * MS)
    (packet,) = arrivals.feedback(1, 2, 1010 * MS)
    base, count = struct.unpack_from(">HH", packet, 12)
    assert (base, count) == (11, 5)


def test_a_late_packet_is_told_of_among_its_neighbours() -> None:
    arrivals = Arrivals()
    for number in (10, 11, 13, 14):
        arrivals.arrived(number, (1000 + number) * MS)
    arrivals.feedback(1, 2, 1015 * MS)
    arrivals.arrived(12, 1016 * MS)
    arrivals.arrived(15, 1017 * MS)
    told = all_arrived(arrivals.feedback(1, 2, 1018 * MS))
    assert set(told) == {12, 13, 14, 15}
    assert told[12] > told[14]


def test_a_gap_of_thousands_and_of_minutes_is_no_long_report() -> None:
    arrivals = Arrivals()
    arrivals.arrived(1, 1000 * MS)
    arrivals.arrived(20_000, 500_000 * MS)
    packets = arrivals.feedback(1, 2, 500_000 * MS)
    assert set(all_arrived(packets)) == {1, 20_000}
    assert sum(map(len, packets)) < 100


def test_many_arrivals_are_split_and_bounded() -> None:
    arrivals = Arrivals()
    for number in range(20_000):
        arrivals.arrived(number & 0xFFFF, 1000 * MS + number * 1000)
    packets = arrivals.feedback(1, 2, 1100 * MS)
    assert 4096 // MAX_STATUSES <= len(packets) <= 4096 // MAX_STATUSES + 1
    assert arrivals.feedback(1, 2, 1100 * MS) == []


def test_feedback_goes_to_the_publisher_while_packets_come() -> None:
    clock, transport = StillClock(), RecordingTransport()
    room = MediaRoom(clock, 5, 20)
    receiver = Receiver(room, transport)
    track = room.publish("TR", "PA", "audio", "microphone")
    receiver.update([(ReceivedSection("0", "audio", (OPUS,), extensions=EXTENSIONS, ssrcs=(9,)), track)])
    for number in range(50):
        packet = write(111, number, number * 960, 9, b"x", extensions={3: (500 + number).to_bytes(2)})
        receiver.rtp(packet)
        clock.advance(20)
        room.tick(clock.ns)
    feedback = [
        compound for compound in transport.rtcp if compound[1] == rtcp.TRANSPORT_FEEDBACK and compound[0] & 0x1F == 15
    ]
    assert set(all_arrived(feedback)) >= set(range(500, 545))
    assert 10 <= len(feedback) <= 13
    told = len(transport.rtcp)
    for _ in range(20):
        clock.advance(20)
        room.tick(clock.ns)
    assert len(transport.rtcp) - told <= 2  # nothing to tell but the receiver report


def test_nacks_are_packed_and_read_back() -> None:
    numbers = [1, 2, 3, 17, 18, 40, 65_535, 65_536, 65_540]
    written = rtcp.write_nack(1, 2, numbers)
    ((kind, form, body),) = list(rtcp.packets(written))
    assert (kind, form, rtcp.media_ssrc(body)) == (205, 1, 2)
    assert rtcp.nacked(body) == [number & 0xFFFF for number in numbers]
    assert len(written) == 12 + 4 * 4


def test_reports_are_read_back() -> None:
    blocks = [rtcp.ReportBlock(ssrc, 200, -5 if ssrc == 1 else 0x7FFFFF, 1, 2, 3, 4) for ssrc in range(40)]
    written = rtcp.write_receiver_reports(9, blocks)
    assert len(written) == 2
    read = [
        block
        for compound in written
        for kind, count, body in rtcp.packets(compound)
        for block in rtcp.report_blocks(kind, count, body)
    ]
    assert read == blocks
    report = rtcp.SenderReport(5, 0xFFFFFFFF_12345678, 0xFFFFFFFF, 7, 8)
    ((kind, _, body),) = list(rtcp.packets(rtcp.write_sender_report(report)))
    assert kind == rtcp.SENDER_REPORT
    assert rtcp.sender_report(body) == report
    assert report.middle == 0xFFFF1234


def test_estimates_are_read_back() -> None:
    for bitrate in (0, 1, 262_143, 1_000_000, 123_456_789, 10**12):
        ((_, form, body),) = list(rtcp.packets(rtcp.write_remb(1, bitrate, [2, 3])))
        assert form == rtcp.APPLICATION
        read = rtcp.estimated_bitrate(body)
        assert read is not None
        assert bitrate * 0.99999 <= read <= bitrate


def test_the_source_description_is_padded() -> None:
    for length in range(1, 300, 7):
        written = rtcp.write_source_description(5, "c" * length)
        assert len(written) % 4 == 0
        ((_, _, body),) = list(rtcp.packets(written))
        assert body[4:6] == bytes((1, min(length, 255)))
        assert body[6 + body[5]] == 0


def test_goodbye_lets_another_stream_take_the_place_at_once() -> None:
    clock = StillClock()
    room = MediaRoom(clock, 5, 20)
    alice, bob = Speaker(room, "alice"), Listener(room)
    section = ReceivedSection("0", "audio", (OPUS,), extensions=EXTENSIONS)
    alice.receiver.update([(section, alice.track)])
    bob.listen_to(alice.track)
    alice.talk(3)
    alice.ssrc = 2002
    alice.talk()
    assert len(bob.transport.heard()) == 3  # the place is taken
    alice.receiver.rtcp(struct.pack(">BBHI", 0x81, rtcp.GOODBYE, 1, 1001))
    alice.talk(2)
    assert len(bob.transport.heard()) == 2


# --- what makes no sense -----------------------------------------------------------------------------------------


def broken(chance: random.Random, packet: bytes) -> bytes:
    spoiled = bytearray(packet)
    for _ in range(chance.randint(0, 6)):
        if spoiled:
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    return bytes(spoiled[: chance.randint(0, len(spoiled))]) if chance.random() < 0.5 else bytes(spoiled)


def test_broken_rtcp_does_no_harm() -> None:
    chance = random.Random(11)
    clock = StillClock()
    room = MediaRoom(clock, 5, 20)
    camera, alice, bob = Camera(room, clock), Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    bob.watch(camera.track)
    camera.film_all(3, key=True)
    alice.talk(10)
    good = [
        rtcp.write_nack(1, alice.track.ssrc, range(100, 300)),
        rtcp.write_nack(1, camera.track.ssrc, range(1000, 1100)),
        rtcp.write_pli(1, camera.track.ssrc),
        rtcp.write_fir(1, camera.track.ssrc, 3),
        rtcp.write_remb(1, 500_000, [1]),
        rtcp.write_sender_report(rtcp.SenderReport(alice.ssrc, 1 << 40, 2, 3, 4)),
        *rtcp.write_receiver_reports(1, [rtcp.ReportBlock(camera.track.ssrc, 9, 9, 9, 9, 9, 9)] * 3),
        rtcp.write_source_description(1, "x"),
        struct.pack(">BBHI", 0x81, rtcp.GOODBYE, 1, alice.ssrc),
    ]
    for _ in range(6000):
        compound = broken(chance, b"".join(chance.choices(good, k=chance.randint(1, 3))))
        for side in (alice.receiver, camera.receiver, bob.sender):
            side.rtcp(compound)
        clock.advance(1)
    room.tick(clock.ns)
    assert len(bob.transport.rtp) < 6000 * 4


def test_random_bytes_do_no_harm() -> None:
    chance = random.Random(12)
    clock = StillClock()
    room = MediaRoom(clock, 5, 20)
    camera, bob = Camera(room, clock), Listener(room)
    bob.watch(camera.track)
    for _ in range(3000):
        noise = chance.randbytes(chance.randrange(60))
        camera.receiver.rtp(noise)
        camera.receiver.rtcp(b"\x81" + noise)
        bob.sender.rtcp(noise)
    assert bob.transport.rtp == []


def test_broken_rtp_does_no_harm() -> None:
    chance = random.Random(13)
    clock = StillClock()
    room = MediaRoom(clock, 5, 20)
    camera, alice, bob = Camera(room, clock), Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    bob.watch(camera.track)
    for turn in range(1500):
        packets = [alice.packet()]
        for rid in camera.layers:
            packets += camera.packets(rid, key=turn % 10 == 0)
        for packet in packets:
            spoiled = broken(chance, packet)
            camera.receiver.rtp(spoiled)
            alice.receiver.rtp(spoiled)
        clock.advance(33)
        room.tick(clock.ns)
        bob.transport.rtcp.clear()
    assert len(camera.receiver._streams) <= 256
    assert all(len(stream.reception.holes) <= 1000 for stream in camera.receiver._media())


def test_headers_that_contradict_themselves_are_refused() -> None:
    good = write(111, 1, 1, 1, b"x", extensions={1: b"\x05", 3: b"\x01\x02"})
    assert read_header(good, 1, 3) == (24, 5, 0x0102)
    assert not plausible(good[:11])
    assert not plausible(b"\x40" + good[1:])
    assert read_header(bytes((0x8F,)) + bytes(11), 1, 3)[0] == -1  # fifteen CSRCs in no bytes
    assert read_header(good[:14], 1, 3)[0] == -1
    assert read_header(good[:14] + b"\xff\xff" + good[16:], 1, 3)[0] == -1


def test_two_byte_extensions_are_read() -> None:
    block = bytes((1, 1, 0x85)) + bytes((3, 2, 1, 2)) + b"\x00"
    packet = struct.pack(">BBHII", 0x90, 111, 1, 1, 1) + struct.pack(">HH", 0x1000, 2) + block + b"payload"
    assert read_header(packet, 1, 3) == (24, 5, 0x0102)
