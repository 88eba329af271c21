"""Alice's camera in three sizes; Bob sees one continuous picture, whichever of them he gets."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from tests.voice.media.studio import (
    H264,
    VP8,
    Camera,
    Listener,
    RecordingTransport,
    StillClock,
    is_continuous,
    levels_zero,
    pictures,
    read,
    write,
)
from voice.sfu.embedded.contracts import ABS_SEND_TIME, Codec, ReceivedSection
from voice.sfu.embedded.media import MediaRoom, Receiver, Subscription, rtcp
from voice.sfu.embedded.media.numbers import signed32

SIZES = {"q": 150, "h": 400, "f": 1000}


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def room(clock: StillClock) -> MediaRoom:
    return MediaRoom(clock, 5, 20)


@pytest.fixture
def camera(room: MediaRoom, clock: StillClock) -> Camera:
    return Camera(room, clock)


@pytest.fixture
def bob(room: MediaRoom) -> Listener:
    return Listener(room)


def plays(packets: list) -> bool:
    """As a decoder and a jitter buffer want it: no hole, time goes on, pictures count up one by one."""
    steps = [
        (later.timestamp - earlier.timestamp, (later_picture - earlier_picture) & 0x7FFF)
        for earlier, later, earlier_picture, later_picture in zip(
            packets, packets[1:], pictures(packets), pictures(packets)[1:], strict=False
        )
    ]
    return is_continuous(packets) and all(
        picture in (0, 1) and (signed32(time) > 0 if picture else time == 0) for time, picture in steps
    )


def start_watching(camera: Camera, bob: Listener, quality: int) -> Subscription:
    subscription = bob.watch(camera.track)
    subscription.want(quality)
    camera.film_all(2)
    camera.film_all(key=True)
    camera.film_all(10)
    return subscription


def size_seen(bob: Listener) -> int:
    return len(bob.transport.heard()[-1].payload)


def test_a_viewer_starts_with_a_key_frame_that_is_asked_for(camera: Camera, bob: Listener, clock: StillClock) -> None:
    bob.watch(camera.track)
    camera.film_all(3)
    assert bob.transport.heard() == []
    assert set(camera.key_frames_asked()) & {7000, 7001, 7002}
    camera.film_all(key=True)
    camera.film_all(3)
    packets = bob.transport.heard()
    assert packets
    assert packets[0].payload[6] == 0x00  # the key frame
    assert {packet.ssrc for packet in packets} == {camera.track.ssrc}
    assert plays(packets)


def test_two_viewers_see_what_each_wants(camera: Camera, room: MediaRoom) -> None:
    bob, carol = Listener(room), Listener(room)
    bob.watch(camera.track).want(0)
    carol.watch(camera.track).want(2)
    for _ in range(4):
        for rid in camera.layers:
            camera.film(rid, key=True, size=SIZES[rid])
        camera.film_all(10, sizes=SIZES)
    assert size_seen(bob) < 200
    assert size_seen(carol) > 900
    assert camera.track.wanted() == 2


def test_switching_up_and_down_is_one_stream_for_the_decoder(camera: Camera, bob: Listener) -> None:
    subscription = start_watching(camera, bob, 0)
    seen = bob.transport.heard()
    for quality in (2, 0, 1, 2, 1, 0):
        subscription.want(quality)
        camera.film_all(5)
        camera.film_all(key=True)
        camera.film_all(5)
        assert subscription.current is camera.track.layers[quality]
        seen += bob.transport.heard()
    assert plays(seen)
    jumps = [signed32(later.timestamp - earlier.timestamp) for earlier, later in pairwise(seen)]
    assert all(jump < 90 * 70 for jump in jumps)
    levels = levels_zero(seen)
    assert all((later - earlier) & 0xFF in (0, 1) for earlier, later in pairwise(levels))


def test_the_old_layer_is_seen_until_the_key_frame_comes(camera: Camera, bob: Listener) -> None:
    subscription = start_watching(camera, bob, 0)
    bob.transport.heard()
    asked = camera.key_frames_asked().count(7002)
    subscription.want(2)
    camera.film_all(10, sizes=SIZES)
    assert size_seen(bob) < 200
    assert camera.key_frames_asked().count(7002) == asked + 1
    camera.film_all(40)
    assert camera.key_frames_asked().count(7002) <= asked + 4  # asked again, but not faster than every 500 ms


def test_numbers_pictures_and_times_wrap(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    for layer in camera.layers.values():
        layer.sequence += 65_500 - layer.sequence
        layer.timestamp = 0xFFFFF000
        layer.picture = 0x7FF0
        layer.level_zero = 250
    subscription = start_watching(camera, bob, 0)
    for quality in (2, 0, 2):
        subscription.want(quality)
        camera.film_all(30)
        camera.film_all(key=True)
        camera.film_all(30)
    packets = bob.transport.heard()
    assert len(packets) > 300
    assert plays(packets)


def test_reports_align_the_layers_times_exactly(camera: Camera, bob: Listener) -> None:
    """At one moment the small layer is at 1 000 000 and the big one at 9 000 000 (90 kHz)."""
    subscription = bob.watch(camera.track)
    subscription.want(0)
    camera.layers["q"].timestamp, camera.layers["f"].timestamp = 1_000_000, 9_000_000
    camera.film_all(key=True)
    camera.film_all(5, key=True)
    camera.report("q", 100.0, 1_000_000)
    camera.report("f", 100.5, 9_045_000)
    subscription.want(2)
    camera.film_all(3)
    bob.transport.heard()
    camera.clock.advance(7)  # the clock is not what counts
    camera.film_all(key=True)
    camera.film_all(2)
    packets = bob.transport.heard()
    assert subscription.current is camera.track.layers[2]
    # One tick more, since the small layer had sent its picture of that moment already, and time has to go on.
    assert {packet.timestamp % 3000 for packet in packets} <= {1000, 1001}


def test_reports_of_the_layer_that_is_seen_go_on_in_our_time(camera: Camera, bob: Listener) -> None:
    subscription = start_watching(camera, bob, 0)
    subscription.want(2)
    camera.film_all(key=True)
    camera.film_all(1, key=True)
    packets = bob.transport.heard()
    moved = packets[-1].timestamp - (camera.layers["f"].timestamp - 3000)
    camera.report("f", 50.0, camera.layers["f"].timestamp)
    camera.report("h", 50.0, 1)
    (body,) = bob.transport.told(rtcp.SENDER_REPORT)
    report = rtcp.sender_report(body)
    assert report is not None
    assert report.timestamp == (camera.layers["f"].timestamp + moved) & 0xFFFFFFFF
    assert report.packets == len(packets)


def test_a_layer_that_is_no_longer_sent_is_left_for_one_that_is(camera: Camera, bob: Listener) -> None:
    subscription = start_watching(camera, bob, 2)
    camera.film_all(2, key=True)
    assert subscription.current is camera.track.layers[2]
    for _ in range(80):
        camera.film("q", key=True)
        camera.clock.advance(33)
        camera.room.tick(camera.clock.ns)
    assert subscription.current is camera.track.layers[0]
    assert plays(bob.transport.heard())


def test_a_hidden_tile_gets_nothing_and_goes_on_with_a_key_frame(camera: Camera, bob: Listener) -> None:
    subscription = start_watching(camera, bob, 0)
    seen = bob.transport.heard()
    subscription.paused = True
    assert camera.track.wanted() is None
    camera.film_all(10)
    camera.film_all(key=True)
    assert bob.transport.heard() == []
    subscription.paused = False
    camera.film_all(3)
    assert bob.transport.heard() == []
    camera.film_all(key=True)
    camera.film_all(3)
    seen += bob.transport.heard()
    assert plays(seen)


def test_a_muted_camera_is_not_forwarded(camera: Camera, bob: Listener) -> None:
    start_watching(camera, bob, 0)
    seen = bob.transport.heard()
    camera.track.muted = True
    camera.film_all(5, key=True)
    assert bob.transport.heard() == []
    camera.track.muted = False
    camera.film_all(2)
    camera.film_all(1, key=True)
    camera.film_all(2)
    seen += bob.transport.heard()
    assert len(seen) > 8
    assert plays(seen)


def test_probes_of_padding_leave_no_hole(camera: Camera, bob: Listener) -> None:
    start_watching(camera, bob, 0)
    for _ in range(10):
        for _ in range(5):
            camera.probe("q")
        camera.film_all()
    packets = bob.transport.heard()
    assert len(packets) == 2 * 21
    assert plays(packets)


def test_a_loss_before_a_probe_can_still_be_repaired(camera: Camera, bob: Listener) -> None:
    start_watching(camera, bob, 0)
    first, second = camera.packets("q")
    camera.receiver.rtp(first)
    camera.probe("q")
    camera.film_all(2)
    camera.repeat("q", second)
    packets = sorted(bob.transport.heard(), key=lambda packet: packet.sequence)
    assert plays(packets)


def test_the_publishers_repetitions_fill_holes(camera: Camera, bob: Listener, clock: StillClock) -> None:
    start_watching(camera, bob, 1)
    bob.transport.heard()
    lost = camera.packets("h")
    camera.film_all(3)
    assert sorted(camera.transport.asked_again()) == [int.from_bytes(packet[2:4]) for packet in lost]
    for packet in lost:
        camera.repeat("h", packet)
        camera.repeat("h", packet)
    packets = sorted(bob.transport.heard(), key=lambda packet: packet.sequence)
    assert len(packets) == 8
    assert plays(packets)


def test_bob_gets_missed_packets_by_rtx(camera: Camera, bob: Listener, clock: StillClock) -> None:
    subscription = start_watching(camera, bob, 0)
    subscription.want(2)
    camera.film_all(3, key=True)
    packets = bob.transport.heard()
    missed = packets[-4]
    bob.miss(camera.track, [missed.sequence])
    (again,) = bob.transport.heard()
    assert (again.payload_type, again.ssrc) == (97, camera.track.rtx_ssrc)
    assert again.payload == missed.sequence.to_bytes(2) + missed.payload
    assert (again.timestamp, again.marker) == (missed.timestamp, missed.marker)
    clock.advance(100)
    bob.miss(camera.track, [packets[-3].sequence])
    (another,) = bob.transport.heard()
    assert another.sequence == again.sequence + 1


def test_without_rtx_the_packet_itself_is_sent_again(camera: Camera, room: MediaRoom) -> None:
    bob = Listener(room)
    bob.watch(camera.track, rtx=False)
    camera.film_all(3, key=True)
    packets = bob.transport.heard()
    bob.miss(camera.track, [packets[1].sequence, 9])
    assert bob.transport.heard() == [packets[1]]


def test_a_storm_of_picture_losses_asks_alice_once(camera: Camera, bob: Listener, clock: StillClock) -> None:
    start_watching(camera, bob, 0)
    clock.advance(600)
    before = camera.key_frames_asked().count(7000)
    for _ in range(100):
        bob.sender.rtcp(rtcp.write_pli(1, camera.track.ssrc))
        bob.sender.rtcp(rtcp.write_fir(1, camera.track.ssrc, 1))
        camera.room.tick(clock.ns)
    assert camera.key_frames_asked().count(7000) == before + 1
    clock.advance(550)
    camera.room.tick(clock.ns)
    assert camera.key_frames_asked().count(7000) == before + 2  # who asked too early is not forgotten
    clock.advance(550)
    camera.film("q", key=True)
    camera.room.tick(clock.ns)
    assert camera.key_frames_asked().count(7000) == before + 2


def test_a_publisher_who_knows_full_intra_requests_only_gets_those(room: MediaRoom, clock: StillClock) -> None:
    old = Codec(96, "VP8", 90_000, feedback=("ccm fir",))
    camera, bob = Camera(room, clock, rids=(), codecs=(old,)), Listener(room)
    bob.watch(camera.track)
    for _ in range(40):
        camera.film_all()
    requests = camera.transport.told(rtcp.PAYLOAD_FEEDBACK, rtcp.FIR)
    assert len(requests) >= 2
    assert {ssrc for body in requests for ssrc in rtcp.full_intra_requests(body)} == {7000}
    assert requests[0][12] != requests[1][12]  # the command number grows
    assert camera.key_frames_asked() == []


def test_a_camera_of_one_size_ignores_wishes_for_another(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock, rids=())
    bob.watch(camera.track).want(0)
    camera.film_all(key=True)
    camera.film_all(1, key=True)
    clock.advance(20_000)  # a still picture for long
    camera.film_all(5)
    packets = bob.transport.heard()
    assert len(packets) >= 12
    assert is_continuous(packets)


def test_a_key_frame_whose_first_packet_came_last_is_not_started_with(camera: Camera, bob: Listener) -> None:
    bob.watch(camera.track).want(0)
    camera.film_all()
    first, second = camera.packets("q", key=True)
    camera.receiver.rtp(second)
    camera.receiver.rtp(first)
    assert bob.transport.heard() == []


def test_narrow_picture_ids_wrap_at_seven_bits(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock, rids=())
    subscription = bob.watch(camera.track)
    for turn in range(300):
        if turn == 150:
            subscription.paused = True
        if turn == 160:
            subscription.paused = False
        for packet in camera.packets(key=turn in (0, 165), narrow=True):
            camera.receiver.rtp(packet)
        clock.advance(33)
        room.tick(clock.ns)
    numbers = [packet.payload[2] for packet in bob.transport.heard()]
    assert len(numbers) == 2 * 285
    assert all((later - earlier) & 0x7F in (0, 1) for earlier, later in pairwise(numbers))


def test_send_times_are_written_where_agreed_on(room: MediaRoom, clock: StillClock) -> None:
    camera, bob = Camera(room, clock, rids=()), Listener(room)
    bob.watch(camera.track, extensions={ABS_SEND_TIME: 2})
    camera.film_all(3, key=True)
    packets = bob.transport.heard()
    assert len(packets) == 6
    times = [int.from_bytes(packet.extensions[2]) / (1 << 18) for packet in packets]
    assert times[0] == pytest.approx(1000 % 64, abs=0.001)
    assert times[-1] - times[0] == pytest.approx(0.066, abs=0.001)


def test_h264_starts_with_its_parameter_sets(room: MediaRoom, clock: StillClock) -> None:
    transport, bob = RecordingTransport(), Listener(room)
    track = room.publish("TR_h", "PA_a", "video", "camera")
    receiver = Receiver(room, transport)
    receiver.update([(ReceivedSection("1", "video", (H264,), ssrcs=(9,)), track)])
    bob.watch(track, codec=Codec(120, "H264", 90_000), rtx=False)
    units = [b"\x41slice", b"\x67sps", b"\x68pps", b"\x7c\x85idr", b"\x7c\x45idr", b"\x41slice"]
    for sequence, unit in enumerate(units):
        receiver.rtp(write(102, sequence, 3000 * (sequence // 4), 9, unit))
    packets = bob.transport.heard()
    assert [packet.payload for packet in packets] == units[1:]
    assert is_continuous(packets)


def test_a_viewer_is_sent_only_the_codec_he_agreed_to(room: MediaRoom, clock: StillClock) -> None:
    camera, bob = Camera(room, clock, rids=(), codecs=(VP8, H264)), Listener(room)
    bob.watch(camera.track, codec=H264)
    camera.film_all(5, key=True)
    assert bob.transport.heard() == []


def test_layers_that_were_not_negotiated_and_other_ssrcs_are_dropped(camera: Camera, bob: Listener) -> None:
    start_watching(camera, bob, 0)
    bob.transport.heard()
    known = len(camera.receiver._streams)
    for ssrc in range(1, 500):
        camera.receiver.rtp(write(96, 1, 1, ssrc, b"\x90\x00\x00", extensions={4: b"1", 5: b"x"}))
        camera.receiver.rtp(write(96, 1, 1, ssrc, b"\x90\x00\x00", extensions={4: b"1", 5: b"q"}))
        camera.receiver.rtp(write(96, 1, 1, ssrc, b"\x90\x00\x00"))
    assert len(camera.receiver._streams) == known
    assert bob.transport.heard() == []


def test_a_section_that_ended_takes_its_streams_along(camera: Camera, bob: Listener) -> None:
    start_watching(camera, bob, 0)
    bob.transport.heard()
    camera.receiver.update([])
    camera.film_all(5, key=True)
    assert bob.transport.heard() == []
    assert camera.receiver._streams == {}


def test_alice_films_again_after_joining_again(camera: Camera, bob: Listener, room: MediaRoom) -> None:
    start_watching(camera, bob, 1)
    seen = bob.transport.heard()
    camera.receiver.close()
    camera.clock.advance(800)
    for place, layer in enumerate(camera.layers.values()):
        layer.ssrc, layer.sequence, layer.timestamp, layer.picture = 9100 + place, 40_000, 5, 77
    camera.receiver = Receiver(room, camera.transport)
    camera.receiver.update([(camera.section, camera.track)])
    camera.film_all(3)
    assert bob.transport.heard() == []
    camera.film_all(key=True)
    camera.film_all(5)
    seen += bob.transport.heard()
    assert len(seen) > 30
    assert plays(seen)


def test_a_new_negotiation_keeps_the_picture_running(camera: Camera, bob: Listener) -> None:
    """Other payload types for the codec and its repetitions, as when sections are added."""
    start_watching(camera, bob, 1)
    bob.transport.heard()
    lost = camera.packets("h")
    camera.film_all(2)
    camera.repeat("h", lost[0])  # makes its stream of repetitions known
    section = dataclasses.replace(camera.section, rtx={97: 96, 99: 96}, ssrcs=(1, 2, 3))
    camera.receiver.update([(section, camera.track)])
    camera.receiver.rtp(_as_payload_type(camera, lost[1], 99))
    camera.film_all(3)
    packets = sorted(bob.transport.heard(), key=lambda packet: packet.sequence)
    assert len(packets) == 12
    assert plays(packets)


def _as_payload_type(camera: Camera, original: bytes, payload_type: int) -> bytes:
    layer = camera.layers["h"]
    start = 16 + 4 * int.from_bytes(original[14:16])
    return write(
        payload_type,
        layer.rtx_sequence,
        int.from_bytes(original[4:8]),
        layer.rtx_ssrc,
        original[2:4] + original[start:],
        marker=bool(original[1] & 0x80),
    )


def test_packets_are_read_as_written() -> None:
    packet = read(write(96, 70_000, 1 << 33, 5, b"xy", marker=True, extensions={4: b"1"}))
    assert (packet.sequence, packet.timestamp, packet.marker, packet.extensions) == (
        70_000 & 0xFFFF,
        0,
        True,
        {4: b"1"},
    )
