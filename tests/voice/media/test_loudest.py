"""Six people talk at once and two are heard; speakers are told to everybody."""

from __future__ import annotations

import pytest

from tests.voice.media.studio import (
    LOUD,
    SILENT,
    SOFT,
    Listener,
    Speaker,
    StillClock,
    is_continuous,
    talk_together,
    write,
)
from voice.sfu.embedded.media import MediaRoom

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def room(clock: StillClock) -> MediaRoom:
    return MediaRoom(clock, 2, 4)


def speakers(room: MediaRoom, names: tuple[str, ...] = NAMES) -> dict[str, Speaker]:
    return {name: Speaker(room, name) for name in names}


def open_to(people: dict[str, Speaker]) -> set[str]:
    return {name for name, speaker in people.items() if speaker.track.open}


def test_the_two_loudest_of_six_are_heard(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room)
    listener = Listener(room)
    for speaker in people.values():
        listener.listen_to(speaker.track)
    levels = dict.fromkeys(NAMES, 50) | {"carol": 15, "frank": 20}
    talk_together(clock, room, levels, people, 2000)
    assert open_to(people) == {"carol", "frank"}
    listener.transport.heard()
    talk_together(clock, room, levels, people, 1000)
    heard = listener.transport.heard()
    assert {packet.payload.split()[0] for packet in heard} == {b"carol", b"frank"}
    assert len(heard) == 100


def test_nobody_is_silenced_where_few_talk(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room, NAMES[:4])
    talk_together(clock, room, dict.fromkeys(people, LOUD), people, 1000)
    assert open_to(people) == set(people)


def test_who_mutes_makes_room(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room, NAMES[:5])
    levels = dict(zip(people, (10, 15, 40, 40, 40), strict=True))
    talk_together(clock, room, levels, people, 1000)
    assert open_to(people) == {"alice", "bob"}
    people["alice"].track.muted = True
    talk_together(clock, room, levels, people, 40)
    assert open_to(people) == {"bob", "carol", "dave", "erin"}  # four are open: nobody needs to be chosen


def test_a_gated_voice_comes_back_without_a_hole(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room)
    listener = Listener(room)
    listener.listen_to(people["alice"].track)
    quiet = dict.fromkeys(NAMES, 60)
    talk_together(clock, room, quiet | {"alice": LOUD, "bob": LOUD}, people, 1000)
    before = listener.transport.heard()
    talk_together(clock, room, quiet | {"carol": LOUD, "bob": LOUD}, people, 3000)
    assert not people["alice"].track.open
    before += listener.transport.heard()
    talk_together(clock, room, quiet | {"alice": LOUD, "bob": LOUD}, people, 3000)
    after = listener.transport.heard()
    assert len(after) > 100
    assert is_continuous(before + after)
    assert after[0].marker
    assert after[0].timestamp - before[-1].timestamp > 960
    assert people["alice"].track.stats.held_back > 50


def test_a_short_noise_takes_no_seat(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room)
    levels = dict.fromkeys(NAMES, SILENT) | {"alice": 25, "bob": 25}
    talk_together(clock, room, levels, people, 2000)
    talk_together(clock, room, levels | {"mallory": 5}, people | {"mallory": people["frank"]}, 60)
    assert open_to(people) == {"alice", "bob"}


def test_two_equally_loud_people_do_not_flicker(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room)
    levels = dict.fromkeys(NAMES, 30)
    talk_together(clock, room, levels, people, 1000)
    seated = open_to(people)
    assert len(seated) == 2
    changes = 0
    for turn in range(50):
        wobble = {name: 30 + (turn * 7 + place * 3) % 5 for place, name in enumerate(NAMES)}
        talk_together(clock, room, wobble, people, 100)
        changes += open_to(people) != seated
        seated = open_to(people)
    assert changes == 0


def test_a_challenger_is_heard_soon(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room)
    levels = dict.fromkeys(NAMES, SILENT) | {"alice": 40, "bob": 40}
    talk_together(clock, room, levels, people, 2000)
    talk_together(clock, room, levels | {"erin": 15}, people, 300)
    assert "erin" in open_to(people)


def test_priority_and_shared_sound_are_always_heard(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room)
    people["host"] = Speaker(room, "host", priority=True)
    people["film"] = Speaker(room, "film", source="screen_share_audio")
    levels = dict.fromkeys(NAMES, LOUD) | {"host": 60, "film": 60}
    talk_together(clock, room, levels, people, 2000)
    assert {"host", "film"} < open_to(people)
    assert len(open_to(people)) == 4


def test_no_seats_means_everybody(clock: StillClock) -> None:
    room = MediaRoom(clock, 0, 2)
    people = speakers(room)
    talk_together(clock, room, dict.fromkeys(NAMES, LOUD), people, 1000)
    assert open_to(people) == set(NAMES)


def test_who_starts_and_stops_speaking_is_told_once(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room, ("alice", "bob"))
    assert room.speakers() == []
    talk_together(clock, room, {"alice": LOUD, "bob": 70}, people, 200)
    (started,) = room.speakers()
    assert (started.participant_sid, started.active) == ("PA_alice", True)
    assert 0.05 < started.level <= 0.11  # -20 dBov
    talk_together(clock, room, {"alice": LOUD, "bob": 70}, people, 1000)
    room.speakers()
    talk_together(clock, room, {"alice": LOUD, "bob": 70}, people, 1000)
    assert room.speakers() == []
    talk_together(clock, room, {"alice": SILENT, "bob": SILENT}, people, 200)
    assert all(speaker.active for speaker in room.speakers())  # a pause between words is no end
    talk_together(clock, room, {"alice": SILENT, "bob": SILENT}, people, 1500)
    (stopped,) = room.speakers()
    assert (stopped.participant_sid, stopped.active, stopped.level) == ("PA_alice", False, 0.0)


def test_mute_ends_speaking_at_once(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room, ("alice",))
    talk_together(clock, room, {"alice": LOUD}, people, 400)
    assert room.speakers()[0].active
    people["alice"].track.muted = True
    talk_together(clock, room, {"alice": LOUD}, people, 20)
    (stopped,) = room.speakers()
    assert not stopped.active


def test_who_leaves_while_speaking_stops(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room, ("alice",))
    talk_together(clock, room, {"alice": LOUD}, people, 400)
    assert room.speakers()[0].active
    room.unpublish(people["alice"].track)
    assert [speaker.active for speaker in room.speakers()] == [False]


def test_without_levels_flowing_packets_are_speech(room: MediaRoom, clock: StillClock) -> None:
    alice = Speaker(room, "alice")
    for turn in range(60):
        alice.receiver.rtp(write(111, turn, turn * 960, alice.ssrc, b"opus"))
        clock.advance(20)
        room.tick(clock.ns)
    assert room.speakers()[0].active
    for turn in range(100):  # discontinuous transmission: one packet in 400 ms
        if turn % 20 == 0:
            alice.receiver.rtp(write(111, 60 + turn // 20, 60 * 960 + turn * 960, alice.ssrc, b"o"))
        clock.advance(20)
        room.tick(clock.ns)
    assert not room.speakers()[0].active


def test_soft_speech_becomes_loud_speech_is_told(room: MediaRoom, clock: StillClock) -> None:
    people = speakers(room, ("alice",))
    talk_together(clock, room, {"alice": SOFT - 5}, people, 400)
    soft = room.speakers()[0].level
    talk_together(clock, room, {"alice": LOUD}, people, 400)
    assert room.speakers()[0].level > 3 * soft
