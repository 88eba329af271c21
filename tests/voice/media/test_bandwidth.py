"""Bob's line is narrow: he gets the sizes that fit, shared screens first, and nothing where nothing fits."""

from __future__ import annotations

import itertools

import pytest

from tests.voice.media.studio import VP8, Camera, Listener, RecordingTransport, Speaker, StillClock, write
from voice.sfu.embedded.contracts import Codec, ReceivedSection
from voice.sfu.embedded.media import MediaRoom, Receiver, Subscription, rtcp
from voice.sfu.embedded.media.bandwidth import Bandwidth

SIZES = {"q": 300, "h": 900, "f": 3000}  # about 150, 440 and 1450 kbit/s


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def room(clock: StillClock) -> MediaRoom:
    return MediaRoom(clock, 5, 20)


@pytest.fixture
def bob(room: MediaRoom) -> Listener:
    return Listener(room)


def film(*cameras: Camera, seconds: float) -> None:
    """Key frames once a second."""
    clock, room = cameras[0].clock, cameras[0].room
    for frame in range(int(seconds * 30)):
        for camera in cameras:
            for rid in camera.layers:
                camera.film(rid, key=frame % 30 == 0, size=SIZES[rid])
        clock.advance(33)
        room.tick(clock.ns)


def seen(subscription: Subscription) -> int:
    return subscription.current.quality if subscription.current is not None else -1


def remb(listener: Listener, bps: int) -> None:
    listener.sender.rtcp(rtcp.write_remb(1, bps, [5]))


def test_a_good_line_gets_the_best(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    film(camera, seconds=4)
    assert seen(subscription) == 2
    assert not subscription.stream_paused


def test_loss_steps_down_and_time_without_it_up_again(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    film(camera, seconds=4)
    for _ in range(4):
        bob.report(camera.track, lost=0.4)
        film(camera, seconds=1)
    assert seen(subscription) < 2
    assert not subscription.stream_paused
    for _ in range(90):
        bob.report(camera.track, lost=0.0)
        film(camera, seconds=1)
        if seen(subscription) == 2:
            break
    assert seen(subscription) == 2


def test_a_little_loss_changes_nothing(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    film(camera, seconds=4)
    for _ in range(10):
        bob.report(camera.track, lost=0.05)
        film(camera, seconds=1)
    assert seen(subscription) == 2


def test_an_estimate_below_what_is_sent_is_obeyed(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    film(camera, seconds=4)
    remb(bob, 700_000)
    film(camera, seconds=3)
    assert seen(subscription) == 1


def test_an_estimate_that_merely_follows_what_is_sent_does_not_hold_it_down(
    room: MediaRoom, clock: StillClock, bob: Listener
) -> None:
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    film(camera, seconds=3)
    remb(bob, 250_000)
    film(camera, seconds=3)
    assert seen(subscription) == 0
    for _ in range(60):
        remb(bob, 230_000)  # 1.5 times the small layer: all a client can know
        film(camera, seconds=1)
        if seen(subscription) > 0:
            break
    assert seen(subscription) > 0


def test_first_estimates_a_little_below_what_is_sent_are_no_congestion_and_falling_ones_are() -> None:
    bandwidth = Bandwidth()
    for second, bps in enumerate((800_000, 850_000, 900_000), start=1):
        bandwidth.told(bps, 1_000_000, second * 1_000_000_000)
    assert bandwidth.bps >= 3_000_000
    bandwidth.told(765_000, 1_000_000, 4_000_000_000)
    assert bandwidth.bps == 765_000


def test_what_fails_is_tried_later_and_later() -> None:
    bandwidth = Bandwidth()
    now, tries = 1_000_000_000, []
    bandwidth.grow(now)
    for _ in range(2400):
        now += 250_000_000
        bandwidth.grow(now)
        if bandwidth.bps > 1_000_000:  # the line carries so much
            tries.append(now)
            bandwidth.lost(0.3, 1_000_000, now)
        else:
            bandwidth.lost(0.0, 1_000_000, now)
    gaps = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(tries) if later - earlier > 2e9]
    assert gaps[-1] > 30
    assert gaps[-1] > 2 * gaps[0]


def test_where_nothing_fits_the_picture_stops_and_comes_back(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    film(camera, seconds=3)
    for _ in range(8):
        remb(bob, 50_000)
        bob.report(camera.track, lost=0.6)
        film(camera, seconds=1)
    assert subscription.stream_paused
    bob.transport.heard()
    film(camera, seconds=1)
    assert bob.transport.heard() == []
    for _ in range(90):
        bob.report(camera.track, lost=0.0)
        film(camera, seconds=1)
        if not subscription.stream_paused:
            break
    film(camera, seconds=1)
    assert bob.transport.heard()


def test_the_shared_screen_is_kept_before_cameras(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    camera = Camera(room, clock)
    screen = Camera(room, clock, name="screen", source="screen_share")
    face, slides = bob.watch(camera.track), bob.watch(screen.track)
    film(camera, screen, seconds=3)
    bob.sender.bandwidth.bps = 700_000
    film(camera, screen, seconds=3)
    assert seen(slides) == 1
    assert seen(face) == 0
    bob.sender.bandwidth.bps = 170_000
    film(camera, screen, seconds=1)
    assert face.stream_paused
    assert not slides.stream_paused


def test_two_cameras_share_evenly(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    cameras = [Camera(room, clock, name=name) for name in ("alice", "carol")]
    subscriptions = [bob.watch(camera.track) for camera in cameras]
    bob.sender.bandwidth.bps = 1_300_000
    film(*cameras, seconds=3)
    assert [seen(subscription) for subscription in subscriptions] == [1, 1]


def test_sound_is_never_given_up(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    alice = Speaker(room, "alice")
    subscription = bob.listen_to(alice.track)
    for _ in range(10):
        remb(bob, 0)
        bob.report(alice.track, lost=0.9)
        clock.advance(1000)
        room.tick(clock.ns)
    alice.talk()
    assert not subscription.stream_paused
    assert len(bob.transport.heard()) == 1


def test_a_publisher_who_knows_remb_only_is_sent_one(room: MediaRoom, clock: StillClock) -> None:
    transport = RecordingTransport()
    old = Codec(96, "VP8", 90_000, feedback=("nack pli", "goog-remb"))
    receiver = Receiver(room, transport)
    receiver.update([(ReceivedSection("1", "video", (old,), ssrcs=(9,)), room.publish("TR", "PA", "video", "camera"))])

    def send(seconds: int, *, lossy: bool) -> int:
        nonlocal sequence
        for _ in range(seconds * 50):
            sequence += 1
            if not lossy or sequence % 3:
                receiver.rtp(write(96, sequence, sequence * 1800, 9, bytes(1000)))
            clock.advance(20)
            room.tick(clock.ns)
        estimate = rtcp.estimated_bitrate(transport.told(rtcp.PAYLOAD_FEEDBACK, rtcp.APPLICATION)[-1])
        assert estimate is not None
        return estimate

    sequence = 0
    start = send(2, lossy=False)
    lossy = send(5, lossy=True)
    recovered = send(20, lossy=False)
    assert lossy < 0.8 * start
    assert recovered > lossy


def test_no_remb_where_transport_wide_feedback_is_agreed_on(room: MediaRoom, clock: StillClock) -> None:
    camera = Camera(room, clock, codecs=(VP8,))
    film(camera, seconds=3)
    assert camera.transport.told(rtcp.PAYLOAD_FEEDBACK, rtcp.APPLICATION) == []


def test_probes_of_a_publisher_make_no_layer_dear(room: MediaRoom, clock: StillClock, bob: Listener) -> None:
    """Clients fill their smallest layer with padding when they look for bandwidth."""
    camera = Camera(room, clock)
    subscription = bob.watch(camera.track)
    bob.sender.bandwidth.bps = 300_000
    for frame in range(120):
        for rid in camera.layers:
            camera.film(rid, key=frame % 30 == 0, size=SIZES[rid])
        for _ in range(30):
            camera.probe("q")
        clock.advance(33)
        room.tick(clock.ns)
    assert seen(subscription) == 0
    assert not subscription.stream_paused
    assert camera.track.layers[0].rate.bps < 200_000
