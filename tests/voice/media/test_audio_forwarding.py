"""Alice speaks; Bob and Carol hear the same bytes, whatever the way did to her packets."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tests.voice.media.studio import (
    OPUS,
    Listener,
    RecordingTransport,
    Speaker,
    StillClock,
    is_continuous,
    write,
)
from voice.sfu.embedded.contracts import AUDIO_LEVEL, MID, ReceivedSection
from voice.sfu.embedded.media import MediaRoom, Receiver, rtcp
from voice.sfu.embedded.media.audio_track import HISTORY
from voice.sfu.embedded.media.incoming import audio_allowance


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def room(clock: StillClock) -> MediaRoom:
    return MediaRoom(clock, 5, 20)


def payloads(listener: Listener) -> list[bytes]:
    return [packet.payload for packet in listener.transport.heard()]


def test_everybody_hears_alice_with_his_own_payload_type(room: MediaRoom) -> None:
    alice = Speaker(room, "alice")
    bob, carol = Listener(room, payload_type=109), Listener(room, payload_type=63)
    bob.listen_to(alice.track)
    carol.listen_to(alice.track)
    alice.talk(3)
    for listener in (bob, carol):
        heard = listener.transport.heard()
        assert [packet.payload for packet in heard] == [b"alice 100", b"alice 101", b"alice 102"]
        assert {packet.payload_type for packet in heard} == {listener.payload_type}
        assert {packet.ssrc for packet in heard} == {alice.track.ssrc}
        assert [packet.timestamp for packet in heard] == [5000, 5960, 6920]
        assert all(not packet.extensions for packet in heard)
        assert is_continuous(heard)


def test_the_port_may_send_to_all_at_once(clock: StillClock) -> None:
    calls = []
    room = MediaRoom(clock, 5, 20, lambda packet, targets: calls.append((packet, list(targets))))
    alice, bob, carol = Speaker(room, "alice"), Listener(room, payload_type=109), Listener(room, payload_type=63)
    bob.listen_to(alice.track)
    carol.listen_to(alice.track)
    alice.receiver.rtp(write(111, 1, 1, alice.ssrc, b"x", marker=True))
    assert calls[0][1] == [(bob.transport, 0x80 | 109), (carol.transport, 0x80 | 63)]


def test_contributing_sources_and_extensions_do_not_travel_on(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    packet = bytearray(alice.packet())
    packet[0] |= 2
    packet[12:12] = bytes(8)
    alice.receiver.rtp(bytes(packet))
    (heard,) = bob.transport.heard()
    assert heard.payload == b"alice 100"


def test_numbers_wrap(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice", sequence=65_500, timestamp=0xFFFFF000), Listener(room)
    bob.listen_to(alice.track)
    alice.talk(100)
    heard = bob.transport.heard()
    assert len(heard) == 100
    assert is_continuous(heard)
    assert heard[0].sequence > heard[-1].sequence
    alice.receiver.tick(clock.ns + 2_000_000_000)
    (block,) = rtcp.report_blocks(rtcp.RECEIVER_REPORT, 1, alice.transport.told(rtcp.RECEIVER_REPORT)[0])
    assert block.highest == 0x10000 + (65_500 + 99) % 0x10000
    assert block.cumulative_lost == 0


def test_reordered_and_repeated_packets_pass_once(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice", sequence=65_530), Listener(room)
    bob.listen_to(alice.track)
    alice.talk()
    packets = [alice.packet() for _ in range(40)]
    shuffled = [packet for start in range(0, 40, 4) for packet in reversed(packets[start : start + 4])]
    for packet in [packet for packet in shuffled for _ in range(2)]:
        alice.receiver.rtp(packet)
    heard = bob.transport.heard()
    assert len(heard) == 41
    assert len({packet.sequence for packet in heard}) == 41


def test_what_the_way_to_us_lost_is_asked_for_until_it_comes(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.talk()
    lost = [alice.packet() for _ in range(2)]
    alice.talk()
    room.tick(clock.ns)
    assert alice.transport.asked_again() == []  # may be out of order only
    clock.advance(20)
    room.tick(clock.ns)
    assert alice.transport.asked_again() == [101, 102]
    clock.advance(5)
    room.tick(clock.ns)
    assert len(alice.transport.asked_again()) == 2  # not before an answer can have come
    alice.receiver.rtp(lost[1])
    clock.advance(100)
    room.tick(clock.ns)
    assert alice.transport.asked_again()[2:] == [101]
    alice.receiver.rtp(lost[0])
    clock.advance(100)
    room.tick(clock.ns)
    assert len(alice.transport.asked_again()) == 3
    assert sorted(payloads(bob)) == [f"alice {number}".encode() for number in range(100, 104)]


def test_three_later_packets_prove_a_loss_at_once(room: MediaRoom, clock: StillClock) -> None:
    alice = Speaker(room, "alice")
    alice.talk()
    alice.packet()
    alice.talk(3)
    room.tick(clock.ns)
    assert alice.transport.asked_again() == [101]


def test_asking_ends(room: MediaRoom, clock: StillClock) -> None:
    alice = Speaker(room, "alice")
    alice.talk()
    alice.packet()
    alice.talk()
    for _ in range(100):
        clock.advance(20)
        room.tick(clock.ns)
    assert 2 <= len(alice.transport.asked_again()) <= 8
    stream = alice.receiver._media()[0]
    assert not stream.reception.holes


def test_a_client_that_agreed_to_no_nack_gets_none(room: MediaRoom, clock: StillClock) -> None:
    transport = RecordingTransport()
    track = room.publish("TR_x", "PA_x", "audio", "microphone")
    receiver = Receiver(room, transport)
    plain = ReceivedSection("0", "audio", (OPUS.__class__(111, "opus", 48_000, 2),), ssrcs=(5,))
    receiver.update([(plain, track)])
    for sequence in (1, 2, 5, 6):
        receiver.rtp(write(111, sequence, sequence * 960, 5, b"x"))
    for _ in range(10):
        clock.advance(20)
        room.tick(clock.ns)
    assert transport.asked_again() == []


def test_bob_gets_again_what_he_missed(room: MediaRoom, clock: StillClock) -> None:
    alice, bob, carol = Speaker(room, "alice"), Listener(room), Listener(room)
    bob.listen_to(alice.track)
    carol.listen_to(alice.track)
    alice.talk(20)
    heard = bob.transport.heard()
    carol.transport.heard()
    bob.miss(alice.track, [heard[7].sequence, heard[9].sequence])
    again = bob.transport.heard()
    assert again == [heard[7], heard[9]]
    assert carol.transport.heard() == []


def test_repetitions_are_few_and_not_faster_than_the_way(room: MediaRoom, clock: StillClock) -> None:
    alice, mallory = Speaker(room, "alice"), Listener(room)
    mallory.listen_to(alice.track)
    alice.talk(2)
    mallory.transport.heard()
    for _ in range(50):
        mallory.miss(alice.track, [100])
    assert len(mallory.transport.heard()) == 1
    for _ in range(50):
        clock.advance(20)
        mallory.miss(alice.track, [100])
    assert len(mallory.transport.heard()) == 3


def test_old_packets_are_forgotten(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.talk(HISTORY + 10)
    bob.transport.heard()
    bob.miss(alice.track, [105, 200])
    assert payloads(bob) == [b"alice 200"]


def test_ten_percent_loss_both_ways_in_bursts_is_repaired(room: MediaRoom, clock: StillClock) -> None:
    chance = random.Random(7)
    alice, bob = Speaker(room, "alice", sequence=65_000), Listener(room)
    bob.listen_to(alice.track)
    alice.talk()
    sent: dict[int, bytes] = {}
    heard: dict[int, bytes] = {}
    burst_up = burst_down = 0

    def bob_hears() -> None:
        nonlocal burst_down
        for packet in bob.transport.heard():
            burst_down = max(0, burst_down - 1) or (3 if chance.random() < 0.04 else 0)
            if not burst_down:
                heard[packet.sequence] = packet.payload

    for turn in range(1000):
        packet = alice.packet()
        sent[int.from_bytes(packet[2:4])] = packet
        burst_up = max(0, burst_up - 1) or (3 if chance.random() < 0.04 and turn < 980 else 0)
        if not burst_up:
            alice.receiver.rtp(packet)
        bob_hears()
        clock.advance(20)
        alice.transport.rtcp.clear()
        room.tick(clock.ns)
        _resend(alice, sent, alice.transport.asked_again(), chance)
        if turn > 10:
            recent = [(65_001 + turn - back) & 0xFFFF for back in range(2, 12)]
            bob.miss(alice.track, [number for number in sorted(recent) if number not in heard])
        bob_hears()
    due = [(65_001 + turn) & 0xFFFF for turn in range(960)]
    missing = [number for number in due if number not in heard]
    assert len(missing) < len(due) * 0.01
    assert all(heard[number] == f"alice {number}".encode() for number in due if number in heard)


def _resend(alice: Speaker, sent: dict[int, bytes], numbers: Iterable[int], chance: random.Random) -> None:
    for number in numbers:
        if number in sent and chance.random() > 0.1:
            alice.receiver.rtp(sent[number])


def test_a_muted_track_is_not_forwarded_and_leaves_no_hole(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice", sequence=65_520), Listener(room)
    bob.listen_to(alice.track)
    alice.talk(10)
    alice.track.muted = True
    alice.talk(30)
    alice.track.muted = False
    alice.talk(10)
    heard = bob.transport.heard()
    assert len(heard) == 20
    assert is_continuous(heard)
    assert heard[10].marker
    assert heard[10].timestamp - heard[9].timestamp == 31 * 960
    assert alice.track.stats.held_back == 30


def test_packets_lost_before_a_mute_may_still_come(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.talk()
    lost = alice.packet()
    alice.talk()
    alice.track.muted = True
    hidden = alice.packet()
    alice.talk(5)
    alice.track.muted = False
    alice.talk(2)
    alice.receiver.rtp(lost)
    alice.receiver.rtp(hidden)  # was sent while she was muted
    heard = bob.transport.heard()
    assert sorted(packet.sequence for packet in heard) == list(range(100, 105))
    assert b"alice 103" not in [packet.payload for packet in heard]


def test_bob_pauses_and_sees_no_hole_and_carol_notices_nothing(room: MediaRoom, clock: StillClock) -> None:
    alice, bob, carol = Speaker(room, "alice"), Listener(room), Listener(room)
    subscription = bob.listen_to(alice.track)
    carol.listen_to(alice.track)
    alice.talk(10)
    subscription.paused = True
    alice.talk(10)
    subscription.paused = False
    alice.talk(10)
    heard = bob.transport.heard()
    assert [packet.payload for packet in heard] == [
        f"alice {number}".encode() for number in (*range(100, 110), *range(120, 130))
    ]
    assert is_continuous(heard)
    assert len(carol.transport.heard()) == 30
    bob.miss(alice.track, [heard[15].sequence])
    assert bob.transport.heard() == [heard[15]]


def test_nobody_wants_a_track_nobody_hears(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    assert alice.track.wanted() is None
    subscription = bob.listen_to(alice.track)
    assert alice.track.wanted() == 0
    subscription.paused = True
    assert alice.track.wanted() is None


def test_alice_joins_again_and_her_voice_goes_on_in_one_stream(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice", sequence=500, timestamp=1_000_000), Listener(room)
    bob.listen_to(alice.track)
    alice.talk(5)
    alice.receiver.close()
    clock.advance(1000)
    alice.ssrc, alice.sequence, alice.timestamp = 77, 40_000, 3_000_000_000
    alice.join()
    alice.talk(5)
    heard = bob.transport.heard()
    assert len(heard) == 10
    assert is_continuous(heard)
    assert heard[5].timestamp - heard[4].timestamp == 48_000


def test_a_jump_of_her_numbers_is_a_new_beginning(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.talk(5)
    alice.sequence = 20_000
    alice.talk(4)
    heard = bob.transport.heard()
    assert len(heard) == 8  # the first after the jump could have been noise
    assert is_continuous(heard)


def test_a_flood_is_cut_off_and_talking_goes_on_after_it(room: MediaRoom, clock: StillClock) -> None:
    mallory, bob = Speaker(room, "mallory"), Listener(room)
    bob.listen_to(mallory.track)
    for _ in range(5000):
        mallory.talk()
    passed = len(bob.transport.heard())
    assert passed * 60 <= audio_allowance(64_000)
    assert mallory.track.stats.over_allowance == 5000 - passed
    clock.advance(1000)
    mallory.talk(2)
    assert len(bob.transport.heard()) >= 1


def test_after_unpublish_nothing_is_heard(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.talk()
    room.unpublish(alice.track)
    alice.talk(5)
    assert len(bob.transport.heard()) == 1
    assert room.tracks == {}


def test_a_new_negotiation_changes_the_payload_type_in_mid_stream(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    first = bob.listen_to(alice.track)
    alice.talk()
    bob.payload_type = 63
    assert bob.listen_to(alice.track) is first
    alice.talk()
    assert [packet.payload_type for packet in bob.transport.heard()] == [109, 63]


def test_unsubscribing_ends_it_for_one_only(room: MediaRoom) -> None:
    alice, bob, carol = Speaker(room, "alice"), Listener(room), Listener(room)
    bob.sender.unsubscribe(bob.listen_to(alice.track))
    carol.listen_to(alice.track)
    alice.talk()
    assert len(bob.transport.heard()) == 0
    assert len(carol.transport.heard()) == 1


# --- whose packets -----------------------------------------------------------------------------------------------


def test_mallory_cannot_speak_with_the_ssrc_of_alice(room: MediaRoom) -> None:
    alice, mallory, bob = Speaker(room, "alice", ssrc=5), Speaker(room, "mallory", ssrc=6), Listener(room)
    bob.listen_to(alice.track)
    mallory.ssrc = 5
    mallory.talk(3)
    assert bob.transport.heard() == []


def test_a_known_ssrc_does_not_move_to_another_section(room: MediaRoom) -> None:
    transport = RecordingTransport()
    receiver = Receiver(room, transport)
    voice = room.publish("TR_a", "PA_a", "audio", "microphone")
    other = room.publish("TR_b", "PA_a", "audio", "screen_share_audio")
    sections = [
        (ReceivedSection(mid, "audio", (OPUS,), extensions={MID: 4, AUDIO_LEVEL: 1}), track)
        for mid, track in (("0", voice), ("1", other))
    ]
    receiver.update(sections)
    bob = Listener(room)
    bob.listen_to(other)
    receiver.rtp(write(111, 1, 0, 9, b"x", extensions={4: b"0"}))
    receiver.rtp(write(111, 2, 960, 9, b"x", extensions={4: b"1"}))
    assert bob.transport.heard() == []
    assert voice.stats.packets_in == 2


def test_unknown_ssrcs_leave_nothing_behind(room: MediaRoom) -> None:
    mallory = Speaker(room, "mallory", ssrc=6)
    before = len(mallory.receiver._streams)
    for ssrc in range(10_000, 20_000):
        mallory.receiver.rtp(write(111, 1, 0, ssrc, b"x", extensions={4: b"0"}))
        mallory.receiver.rtp(write(111, 1, 0, ssrc, b"x", extensions={4: b"unknown"}))
    assert len(mallory.receiver._streams) == before


def test_a_payload_type_that_was_not_agreed_on_is_dropped(room: MediaRoom) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.receiver.rtp(write(63, 1, 0, alice.ssrc, b"redundant"))
    assert bob.transport.heard() == []


# --- reports -----------------------------------------------------------------------------------------------------


def test_alice_is_told_of_loss_and_of_her_last_report(room: MediaRoom, clock: StillClock) -> None:
    alice = Speaker(room, "alice")
    room.tick(clock.ns)
    for _ in range(20):
        alice.talk(3)
        alice.packet()
    ntp = 0x12345678_9ABCDEF0
    alice.receiver.rtcp(rtcp.write_sender_report(rtcp.SenderReport(alice.ssrc, ntp, 1, 2, 3)))
    clock.advance(1500)
    room.tick(clock.ns)
    (block,) = rtcp.report_blocks(rtcp.RECEIVER_REPORT, 1, alice.transport.told(rtcp.RECEIVER_REPORT)[-1])
    assert block.ssrc == alice.ssrc
    assert block.cumulative_lost == 19
    assert block.fraction_lost == 19 * 256 // 79
    assert block.last_sr == 0x56789ABC
    assert block.delay_since_last_sr == 65536 * 3 // 2
    assert 0.2 < alice.receiver.quality().loss < 0.3


def test_jitter_is_measured(room: MediaRoom, clock: StillClock) -> None:
    steady, shaky = Speaker(room, "alice", ssrc=1), Speaker(room, "bob", ssrc=2)
    for turn in range(200):
        steady.talk()
        clock.advance(15 if turn % 2 else 0)
        shaky.talk()
        clock.advance(5 if turn % 2 else 20)
    clock.advance(1000)
    room.tick(clock.ns)
    assert steady.receiver.quality().jitter_ms < 0.1
    assert 5 < shaky.receiver.quality().jitter_ms < 20


def test_sender_reports_go_on_and_come_back_as_a_round_trip_time(room: MediaRoom, clock: StillClock) -> None:
    alice, bob = Speaker(room, "alice"), Listener(room)
    bob.listen_to(alice.track)
    alice.talk(3)
    ntp = 0xE0000001_80000000
    report = rtcp.write_sender_report(rtcp.SenderReport(alice.ssrc, ntp, 7000, 3, 30))
    for _ in range(10):  # a flood of them goes on once
        alice.receiver.rtcp(report)
    (body,) = bob.transport.told(rtcp.SENDER_REPORT)
    heard = rtcp.sender_report(body)
    assert heard is not None
    assert (heard.ssrc, heard.ntp, heard.timestamp) == (alice.track.ssrc, ntp, 7000)
    assert b"PA_alice" in bob.transport.told(rtcp.SOURCE_DESCRIPTION)[0]
    clock.advance(180)
    bob.report(alice.track, lost=0.25, last_sr=0x00018000, delay=65536 // 10)
    quality = bob.sender.quality()
    assert quality.rtt_ms == pytest.approx(80, abs=1)
    assert quality.loss == 0.25
    assert quality.jitter_ms == 10
