"""What a worker says waits in bounds when nobody reads, and nonsense ends the conversation."""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import replace

import pytest

from voice.sfu.backend import Changed, Joined, LeaveReason, Left, ParticipantState, RoomOptions, SfuEvent
from voice.sfu.embedded import control
from voice.sfu.embedded.control import (
    BadMessage,
    EnsureRoom,
    LogLine,
    Permit,
    Reply,
    Request,
    Result,
    SomebodyLeft,
    event_of,
    told,
)
from voice.sfu.embedded.control_channel import Channel, open_channel
from voice.sfu.embedded.worker_outbox import MOST_LOG_LINES, MOST_MESSAGES, Outbox, OutboxFull
from voice.turn import TurnAccess

ALICE = ParticipantState("alice", "PA_1", 1, attributes={"org.voicechat.deafened": "1"})


async def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return await open_channel(one), await open_channel(other)


async def heard(outbox: Outbox, channel: Channel) -> list[SfuEvent]:
    """What arrives at the other end of all that waits."""
    outbox.reply(Reply(7, Result(done=True)))
    await outbox.flush()
    events = []
    while not isinstance(report := control.read_report(await channel.receive()), Reply):
        assert not isinstance(report, control.Ready | control.Failed | LogLine)
        events.append(event_of(report))
    return events


@pytest.mark.parametrize(
    "event", [Joined("r", ALICE), Changed("r", ALICE), Left("r", "alice", "PA_1", LeaveReason.VANISHED)]
)
def test_events_arrive_as_they_were(event: SfuEvent) -> None:
    report = control.read_report(control.encode(told(event)))
    assert not isinstance(report, control.Ready | control.Failed | LogLine | Reply)
    assert event_of(report) == event


def test_a_worker_gets_what_it_needs_to_begin_and_its_secrets_are_not_shown() -> None:
    turn = TurnAccess(("turn:turn.test",), "north wind", 3600)
    begin = control.Configure("key", "secret", "::", 1, ("192.0.2.1",), RoomOptions(), 5, 20, "/socket", turn)
    assert control.read_configure(control.encode(begin)) == begin
    assert "secret" not in repr(begin)
    assert "north wind" not in repr(begin)


def test_requests_arrive_as_they_were() -> None:
    request = Request(3, EnsureRoom("r", RoomOptions(region="eu"), {"bob": 5}))
    assert control.read_request(control.encode(request)) == request


async def test_of_somebody_who_changes_all_the_time_only_the_last_waits() -> None:
    ours, theirs = await pair()
    outbox = Outbox(theirs)
    outbox.tell(told(Changed("r", ALICE)))
    for _ in range(MOST_MESSAGES + 1):
        outbox.tell(told(Changed("r", replace(ALICE, speaking=True))))
    assert await heard(outbox, ours) == [Changed("r", replace(ALICE, speaking=True))]


async def test_coming_and_going_is_told_in_order() -> None:
    ours, theirs = await pair()
    outbox = Outbox(theirs)
    outbox.tell(told(Joined("r", ALICE)))
    outbox.tell(told(Changed("r", replace(ALICE, microphone="on"))))
    outbox.tell(told(Left("r", "alice", "PA_1", LeaveReason.LEFT)))
    assert await heard(outbox, ours) == [
        Joined("r", replace(ALICE, microphone="on")),
        Left("r", "alice", "PA_1", LeaveReason.LEFT),
    ]


async def test_a_worker_whom_nobody_hears_gives_up() -> None:
    _, theirs = await pair()
    outbox = Outbox(theirs)
    for number in range(MOST_MESSAGES + 1):
        outbox.tell(SomebodyLeft("r", "alice", f"PA_{number}", LeaveReason.LEFT))
    with pytest.raises(OutboxFull):
        await outbox.flush()


async def test_a_flood_of_log_lines_is_cut() -> None:
    ours, theirs = await pair()
    outbox = Outbox(theirs)
    for number in range(2 * MOST_LOG_LINES):
        outbox.log(LogLine(30, "voice", f"line {number}"))
    writing = asyncio.create_task(outbox.flush())
    for number in range(MOST_LOG_LINES):
        assert control.read_report(await ours.receive()) == LogLine(30, "voice", f"line {number}")
    await writing


async def test_a_message_that_is_too_long_is_not_read() -> None:
    ours, theirs = await pair()
    ours.writer.write((control.MAX_MESSAGE + 1).to_bytes(4, "big"))
    with pytest.raises(BadMessage):
        await theirs.receive()


async def test_the_end_of_the_other_side_is_noticed() -> None:
    ours, theirs = await pair()
    ours.close()
    with pytest.raises(EOFError):
        await theirs.receive()


def test_nonsense_is_nothing_but_a_bad_message() -> None:
    dice = random.Random(4)
    good = control.encode(Request(3, Permit("r", control.Grant("r", "alice"))))
    for _ in range(2_000):
        broken = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        for read in (control.read_request, control.read_report, control.read_configure):
            try:
                read(bytes(broken))
            except BadMessage:
                continue


async def test_a_name_that_is_no_unicode_costs_its_own_message_only() -> None:
    ours, theirs = await pair()
    outbox = Outbox(theirs)
    outbox.tell(told(Changed("r", replace(ALICE, attributes={"mood": "\ud800"}))))
    outbox.reply(Reply(1, Result(participants=[replace(ALICE, sid="\udfff")])))
    outbox.tell(told(Left("r", "alice", "PA_1", LeaveReason.LEFT)))
    await outbox.flush()
    assert isinstance(control.read_report(await ours.receive()), LogLine)
    reply = control.read_report(await ours.receive())
    assert isinstance(reply, Reply)
    assert reply.result.refused == "Reply is no Unicode"
    assert isinstance(control.read_report(await ours.receive()), SomebodyLeft)


def test_a_configuration_does_not_show_its_secret() -> None:
    from tests.voice.workers.exchange_of_processes import SECRET, configuration

    assert SECRET not in repr(configuration())
