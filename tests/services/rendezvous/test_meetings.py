"""Meetings end, are few, and of two who write at once only one does."""

from __future__ import annotations

import pytest

from homeserver.protocol.errors import InvalidParam, LimitExceeded, NotFound, TooLarge
from homeserver.services.rendezvous.meetings import (
    LIFETIME_MS,
    MAX_BYTES,
    MAX_MEETINGS,
    MAX_OF_NETWORK,
    Meetings,
    WrittenMeanwhile,
)
from tests.clock import FakeClock


@pytest.fixture
def meetings(clock: FakeClock) -> Meetings:
    return Meetings(clock)


def test_the_second_of_two_writers_reads_first(meetings: Meetings) -> None:
    meeting = meetings.begin(b"one", "here")
    tag = meeting.tag
    second = meetings.replace(meeting.id, tag, b"two")
    with pytest.raises(WrittenMeanwhile):
        meetings.replace(meeting.id, tag, b"three")
    assert meetings.get(meeting.id).body == b"two"
    assert meetings.get(meeting.id).tag == second != tag


def test_the_same_transaction_again_has_the_same_answer(meetings: Meetings) -> None:
    meeting = meetings.begin(b"one", "here")
    second = meetings.replace(meeting.id, "1", b"two", "t1")
    meetings.replace(meeting.id, second, b"three", "t2")
    assert meetings.replace(meeting.id, "1", b"two", "t1") == second
    assert meetings.get(meeting.id).body == b"three"
    for number in range(100):
        meetings.replace(meeting.id, meeting.tag, b"x", f"n{number}")
    assert len(meeting.transactions) < 10
    with pytest.raises(InvalidParam):
        meetings.replace(meeting.id, meeting.tag, b"x", "t" * 256)


def test_a_meeting_ends_by_itself_however_often_it_is_used(meetings: Meetings, clock: FakeClock) -> None:
    meeting = meetings.begin(b"one", "here")
    clock.advance(ms=LIFETIME_MS - 1)
    meetings.replace(meeting.id, "1", b"two")
    clock.advance(ms=1)
    with pytest.raises(NotFound):
        meetings.get(meeting.id)
    with pytest.raises(NotFound):
        meetings.replace(meeting.id, "2", b"three")
    assert meetings.memory_usage() == {"meetings": 0}


def test_what_is_ended_is_gone(meetings: Meetings) -> None:
    meeting = meetings.begin(b"", "here")
    meetings.end(meeting.id)
    with pytest.raises(NotFound):
        meetings.end(meeting.id)


def test_mallory_cannot_fill_the_memory(meetings: Meetings, clock: FakeClock) -> None:
    for _ in range(MAX_OF_NETWORK):
        meetings.begin(b"x" * MAX_BYTES, "mallory")
    with pytest.raises(LimitExceeded):
        meetings.begin(b"", "mallory")
    meetings.begin(b"", "alice")
    with pytest.raises(TooLarge):
        meetings.begin(b"x" * (MAX_BYTES + 1), "alice")
    for number in range(MAX_MEETINGS - MAX_OF_NETWORK - 1):
        meetings.begin(b"", f"bot {number}")
    with pytest.raises(LimitExceeded):
        meetings.begin(b"", "bob")
    clock.advance(ms=LIFETIME_MS)
    meetings.begin(b"", "bob")
    assert meetings.memory_usage() == {"meetings": 1}
    assert meetings._of_network == {"bob": 1}
