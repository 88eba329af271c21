"""Asking for what was lost, and sending again what others lost."""

from __future__ import annotations

import random
import struct

from voice.participant.outgoing import OutgoingAudio
from voice.participant.repair import FIRST_WAIT_NS, RETRY_NS, TRIES, Missing, nack, reports, requests


def never(_: int) -> bool:
    return False


def test_a_request_names_what_it_asks_for() -> None:
    dice = random.Random(5)
    for _ in range(50):
        numbers = {dice.randrange(65_536) for _ in range(20)} | {10, 11, 26, 27}
        assert set(requests(nack(1, 99, list(numbers)))) == {(99, number) for number in numbers}


def test_numbers_close_together_share_one_entry() -> None:
    assert len(nack(1, 99, list(range(100, 117)))) == 16


def test_broken_compounds_are_read_up_to_the_break() -> None:
    good = nack(1, 99, [5])
    assert list(requests(good + good[:7])) == [(99, 5)]
    assert list(requests(b"\x81\xcd\xff\xff" + bytes(20))) == []
    assert list(reports(b"\x9f\xc9\x00\x01" + bytes(4))) == []
    dice = random.Random(6)
    for length in range(200):
        noise = dice.randbytes(length)
        list(requests(noise))
        list(reports(noise))


def test_a_receiver_report_is_read() -> None:
    block = struct.pack("!IBBHIIII", 99, 64, 0, 12, 500, 48, 0, 0)
    (report,) = reports(struct.pack("!BBHI", 0x81, 201, 7, 1) + block)
    assert (report.ssrc, report.fraction_lost, report.lost, report.jitter) == (99, 0.25, 12, 48)


def test_a_lost_packet_is_asked_for_a_few_times_and_then_given_up() -> None:
    missing = Missing()
    missing.skipped([4, 5], 0)
    assert missing.due(0, never) == []
    asked = [missing.due(FIRST_WAIT_NS + turn * RETRY_NS, never) for turn in range(TRIES + 2)]
    assert asked == [[4, 5]] * TRIES + [[], []]
    assert not missing
    assert missing.asked == 2 * TRIES


def test_a_packet_that_came_meanwhile_is_not_asked_for() -> None:
    missing = Missing()
    missing.skipped([4, 5], 0)
    assert missing.due(FIRST_WAIT_NS, lambda number: number == 4) == [5]


# --- sending ---------------------------------------------------------------------------------------------------


def test_packets_carry_their_level_and_follow_each_other() -> None:
    track = OutgoingAudio("cid", ssrc=7, payload_type=109, level_id=3, sequence=0xFFFF, timestamp=0xFFFFFF00)
    first, second = track.packet(b"opus", 20, 960, marker=True), track.packet(b"opus", 127, 960)
    assert first[:12] == struct.pack("!BBHII", 0x90, 0x80 | 109, 0xFFFF, 0xFFFFFF00, 7)
    assert first[12:16] == bytes.fromhex("bede0001")
    assert first[16:18] == bytes((3 << 4, 0x80 | 20))
    assert first[20:] == b"opus"
    assert second[:12] == struct.pack("!BBHII", 0x90, 109, 0, 0xFFFFFF00 + 960 - 2**32, 7)
    assert second[17] == 127


def test_without_the_extension_there_is_none() -> None:
    packet = OutgoingAudio("cid", ssrc=7).packet(b"opus", 20, 960)
    assert packet[0] == 0x80
    assert packet[12:] == b"opus"


def test_the_last_packets_can_be_sent_again() -> None:
    track = OutgoingAudio("cid", sequence=65_000)
    sent = [track.packet(bytes([number % 256]), 20, 960) for number in range(600)]
    assert track.again((65_000 + 599) & 0xFFFF) == sent[-1]
    assert track.again(65_000) is None
    assert track.resent == 1
