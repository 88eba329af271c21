"""Reports of LiveKit come late, twice, in the wrong order, or never; listeners hear each thing once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from voice.sfu.backend import Changed, Joined, LeaveReason, Left, ParticipantState, RoomsLost, SfuEvent
from voice.sfu.livekit import people as people_module
from voice.sfu.livekit.people import People

ROOM = "kitchen"
ALICE = ParticipantState("alice", "PA_1", 1_700_000_000_000)
ALICE_AGAIN = replace(ALICE, sid="PA_2")
MUTED = replace(ALICE, microphone="muted")


@dataclass(slots=True)
class Story:
    people: People = field(default_factory=People)
    told: list[SfuEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people.listeners.append(self.told.append)


@pytest.fixture
def story() -> Story:
    return Story()


def left(sid: str, reason: LeaveReason) -> Left:
    return Left(ROOM, "alice", sid, reason)


def test_the_same_report_twice_is_told_once(story: Story) -> None:
    for state in (ALICE, ALICE, MUTED, MUTED):
        story.people.seen(ROOM, state)
    for _ in range(2):
        story.people.left(ROOM, "alice", "PA_1", LeaveReason.LEFT)
    assert story.told == [Joined(ROOM, ALICE), Changed(ROOM, MUTED), left("PA_1", LeaveReason.LEFT)]
    assert story.people.rooms() == []


def test_her_arrival_is_not_believed_after_her_departure(story: Story) -> None:
    story.people.left(ROOM, "alice", "PA_1", LeaveReason.LEFT)
    story.people.seen(ROOM, ALICE)
    assert story.told == []


def test_a_late_departure_does_not_end_her_next_session(story: Story) -> None:
    story.people.seen(ROOM, ALICE)
    story.people.seen(ROOM, ALICE_AGAIN)
    story.people.left(ROOM, "alice", "PA_1", LeaveReason.VANISHED)
    story.people.seen(ROOM, ALICE)
    assert story.told == [Joined(ROOM, ALICE), left("PA_1", LeaveReason.DUPLICATE), Joined(ROOM, ALICE_AGAIN)]


def test_a_look_that_began_before_she_came_does_not_end_her_session(story: Story) -> None:
    before = story.people.sids(ROOM)
    story.people.seen(ROOM, ALICE)
    story.people.compare(ROOM, before, [])
    assert story.told == [Joined(ROOM, ALICE)]


def test_a_look_that_began_before_she_left_does_not_bring_her_back(story: Story) -> None:
    story.people.seen(ROOM, ALICE)
    before = story.people.sids(ROOM)
    story.people.left(ROOM, "alice", "PA_1", LeaveReason.LEFT)
    story.people.compare(ROOM, before, [ALICE])
    assert story.told[1:] == [left("PA_1", LeaveReason.LEFT)]


def test_who_is_missed_once_is_welcome_when_seen_again(story: Story) -> None:
    story.people.compare(ROOM, {}, [ALICE])
    story.people.compare(ROOM, story.people.sids(ROOM), [])
    story.people.compare(ROOM, story.people.sids(ROOM), [ALICE])
    assert story.told == [Joined(ROOM, ALICE), left("PA_1", LeaveReason.VANISHED), Joined(ROOM, ALICE)]


@pytest.mark.parametrize("reported_first", [True, False])
def test_why_we_sent_her_away_is_told_whoever_says_it_first(story: Story, reported_first: bool) -> None:
    story.people.seen(ROOM, ALICE)
    story.people.expect(ROOM, "alice", LeaveReason.MOVED)
    if reported_first:
        story.people.left(ROOM, "alice", "PA_1", LeaveReason.REMOVED)
    story.people.removed(ROOM, "alice", done=True)
    story.people.left(ROOM, "alice", "PA_1", LeaveReason.REMOVED)
    assert story.told[1:] == [left("PA_1", LeaveReason.MOVED)]


def test_who_could_not_be_sent_away_is_there(story: Story) -> None:
    story.people.seen(ROOM, ALICE)
    story.people.expect(ROOM, "alice", LeaveReason.MOVED)
    story.people.removed(ROOM, "alice", done=False)
    assert story.told[1:] == []
    story.people.left(ROOM, "alice", "PA_1", LeaveReason.REMOVED)
    assert story.told[1:] == [left("PA_1", LeaveReason.REMOVED)], "by somebody else"


def test_lost_rooms_are_told_together_and_their_people_may_be_there_still(story: Story) -> None:
    story.people.seen(ROOM, ALICE)
    story.people.lost([ROOM, "empty"])
    story.people.lost([ROOM])
    story.people.seen(ROOM, ALICE)
    assert story.told[1:] == [RoomsLost([ROOM]), Joined(ROOM, ALICE)]


def test_a_room_that_ends_ends_for_everybody(story: Story) -> None:
    story.people.seen(ROOM, ALICE)
    story.people.emptied(ROOM, LeaveReason.ROOM_ENDED)
    assert story.told[1:] == [left("PA_1", LeaveReason.ROOM_ENDED)]
    assert story.people.memory_usage() == {"rooms": 0, "participants": 0, "departed": 1}


def test_departures_are_remembered_in_bounds(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_module, "MAX_DEPARTED", 3)
    for number in range(10):
        story.people.left(ROOM, "alice", f"PA_{number}", LeaveReason.LEFT)
    assert story.people.memory_usage()["departed"] == 3


def test_a_listener_that_fails_keeps_nothing_from_the_others(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: SfuEvent) -> None:
        raise RuntimeError("listener")

    story.people.listeners.insert(0, fail)
    story.people.seen(ROOM, ALICE)
    assert story.told == [Joined(ROOM, ALICE)]
    assert "listener" in caplog.text
