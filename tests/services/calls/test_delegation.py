"""Alice hands the event that says she has left to the server, which sends it when the SFU says that she is gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest

from homeserver.protocol.errors import InvalidParam, NotFound, Unavailable
from homeserver.services.calls.delegation import (
    COME_BACK_MS,
    CONNECT_WAIT_MS,
    GOODBYE_WAIT_MS,
    RECONNECT_WAIT_MS,
    DelayedLeave,
    Delegations,
)
from homeserver.services.calls.identities import VoiceIdentities
from homeserver.services.calls.tokens import CallMember, by_device, identity_of
from homeserver.storage.database import Database
from homeserver.storage.voice_identities import VoiceIdentityRows
from tests.clock import FakeClock
from tests.voice.waiting import until
from voice.sfu.backend import Joined, LeaveReason, Left, ParticipantState, RoomsLost, SfuEvent

ALICE, ROOM = "@alice:test", "!room:test"
HOUR_MS = 3_600_000


@dataclass(slots=True)
class DelayedEventsOfTest:
    """Delayed events that wait until somebody sends or cancels them."""

    waiting: dict[str, DelayedLeave]
    restarted: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    down: bool = False

    async def find(self, delay_id: str) -> DelayedLeave | None:
        return self.waiting.get(delay_id)

    async def restart(self, delay_ids: Sequence[str]) -> Collection[str]:
        known = [each for each in delay_ids if each in self.waiting]
        self.restarted += known
        return known

    async def send_now(self, delay_id: str) -> None:
        if self.down:
            raise Unavailable
        if self.waiting.pop(delay_id, None) is None:
            raise NotFound
        self.sent.append(delay_id)


@dataclass(slots=True)
class Stage:
    delayed: DelayedEventsOfTest
    identities: VoiceIdentities
    delegations: Delegations
    clock: FakeClock
    alice: CallMember

    def tell(self, event: SfuEvent) -> None:
        self.identities.follow(event)
        self.delegations.follow_sfu(event)

    def comes(self) -> None:
        self.tell(Joined(self.alice.sfu_room, ParticipantState(self.alice.identity, "PA_1", 0)))

    def goes(self, reason: LeaveReason) -> None:
        self.tell(Left(self.alice.sfu_room, self.alice.identity, "PA_1", reason))

    async def later(self, ms: int) -> None:
        self.clock.advance(ms=ms)
        await self.delegations.tick()


@pytest.fixture
async def stage(database: Database, clock: FakeClock) -> Stage:
    waiting = {
        "d": DelayedLeave(ALICE, ROOM, HOUR_MS),
        "newer": DelayedLeave(ALICE, ROOM, HOUR_MS),
        "short": DelayedLeave(ALICE, ROOM, 1_000),
        "elsewhere": DelayedLeave(ALICE, "!other:test", HOUR_MS),
        "bob's": DelayedLeave("@bob:test", ROOM, HOUR_MS),
    }
    delayed = DelayedEventsOfTest(waiting)
    identities = VoiceIdentities(database, VoiceIdentityRows(), clock)
    alice = by_device(ALICE, ROOM, "PHONE")
    await identities.remember(identity_of(alice))
    return Stage(delayed, identities, Delegations(delayed, identities, clock), clock, alice)


@pytest.mark.parametrize("delay_id", ["", "unknown", "x" * 300, "short", "elsewhere", "bob's"])
async def test_only_an_event_of_hers_in_this_room_is_taken(stage: Stage, delay_id: str) -> None:
    with pytest.raises(InvalidParam):
        await stage.delegations.accept(stage.alice, delay_id)
    assert stage.delegations.memory_usage() == {"delegations": 0}


@pytest.mark.parametrize("reason", [LeaveReason.VANISHED, LeaveReason.REMOVED, LeaveReason.MOVED])
async def test_who_vanishes_has_left_at_once(stage: Stage, reason: LeaveReason) -> None:
    await stage.delegations.accept(stage.alice, "d")
    stage.comes()
    stage.goes(reason)
    await until(lambda: stage.delayed.sent == ["d"])
    assert stage.delegations.memory_usage() == {"delegations": 0}


async def test_a_connection_begun_anew_is_no_leave(stage: Stage) -> None:
    await stage.delegations.accept(stage.alice, "d")
    stage.comes()
    stage.goes(LeaveReason.LEFT)
    await stage.later(GOODBYE_WAIT_MS - 1)
    stage.comes()
    await stage.later(GOODBYE_WAIT_MS)
    assert stage.delayed.sent == []
    stage.goes(LeaveReason.LEFT)
    await stage.later(GOODBYE_WAIT_MS)
    assert stage.delayed.sent == ["d"]


async def test_a_second_connection_of_the_same_client_is_no_leave(stage: Stage) -> None:
    await stage.delegations.accept(stage.alice, "d")
    stage.comes()
    stage.goes(LeaveReason.DUPLICATE)
    await stage.later(GOODBYE_WAIT_MS)
    assert stage.delayed.sent == []


async def test_who_is_told_to_connect_anew_has_time_to_do_it(stage: Stage) -> None:
    await stage.delegations.accept(stage.alice, "d")
    stage.comes()
    stage.goes(LeaveReason.RECONNECTING)
    await stage.later(RECONNECT_WAIT_MS - 1)
    stage.comes()
    await stage.later(RECONNECT_WAIT_MS)
    assert stage.delayed.sent == []
    stage.goes(LeaveReason.RECONNECTING)
    await stage.later(RECONNECT_WAIT_MS)
    assert stage.delayed.sent == ["d"]


async def test_the_event_is_put_off_as_long_as_she_is_there(stage: Stage) -> None:
    await stage.delegations.accept(stage.alice, "d")
    stage.comes()
    for _ in range(10):
        await stage.later(HOUR_MS // 4)
    assert stage.delayed.restarted == ["d"] * 6  # when it was accepted, then every half hour
    assert stage.delayed.sent == []


async def test_who_never_comes_has_left(stage: Stage) -> None:
    await stage.delegations.accept(stage.alice, "d")
    await stage.later(CONNECT_WAIT_MS - 1)
    assert stage.delayed.sent == []
    await stage.later(1)
    assert stage.delayed.sent == ["d"]


async def test_a_lost_worker_is_given_time(stage: Stage) -> None:
    await stage.delegations.accept(stage.alice, "d")
    stage.comes()
    stage.tell(RoomsLost([stage.alice.sfu_room]))
    await stage.later(COME_BACK_MS - 1)
    stage.comes()
    await stage.later(COME_BACK_MS)
    assert stage.delayed.sent == []
    stage.tell(RoomsLost([stage.alice.sfu_room]))
    await stage.later(COME_BACK_MS)
    assert stage.delayed.sent == ["d"]


async def test_a_newer_event_takes_the_place_of_an_older_one(stage: Stage) -> None:
    """ "The server MUST only maintain a single delegated event" for each member. MSC4195."""
    stage.comes()
    await stage.delegations.accept(stage.alice, "d")
    await stage.delegations.accept(stage.alice, "newer")
    stage.goes(LeaveReason.VANISHED)
    await until(lambda: stage.delayed.sent == ["newer"])


async def test_an_event_she_cancelled_is_forgotten(stage: Stage) -> None:
    stage.comes()
    await stage.delegations.accept(stage.alice, "d")
    del stage.delayed.waiting["d"]
    await stage.later(HOUR_MS // 2)
    assert stage.delegations.memory_usage() == {"delegations": 0}
    assert list(stage.identities.with_delegation()) == []


async def test_what_could_not_be_sent_is_sent_later(stage: Stage) -> None:
    stage.comes()
    await stage.delegations.accept(stage.alice, "d")
    stage.delayed.down = True
    stage.goes(LeaveReason.LEFT)
    await stage.later(GOODBYE_WAIT_MS)
    assert stage.delayed.sent == []
    stage.delayed.down = False
    await stage.later(500)
    assert stage.delayed.sent == ["d"]


async def test_a_restart_of_the_server_forgets_no_delegation(stage: Stage) -> None:
    stage.comes()
    await stage.delegations.accept(stage.alice, "d")
    identities = VoiceIdentities(stage.identities.queries, VoiceIdentityRows(), stage.clock)
    again = Delegations(stage.delayed, identities, stage.clock)
    await identities.start()
    await again.start()
    await again.tick()
    assert stage.delayed.restarted[-1] == "d"
    stage.clock.advance(ms=COME_BACK_MS)
    await again.tick()
    assert stage.delayed.sent == ["d"]
    assert list(identities.with_delegation()) == []
