"""Which room is at which worker, what workers are told when they come back, and what listeners hear."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from voice.sfu.backend import (
    Changed,
    Grant,
    Joined,
    LeaveReason,
    Left,
    ParticipantState,
    RoomOptions,
    RoomsLost,
    SfuEvent,
    SfuListener,
    SfuUnavailable,
)
from voice.sfu.embedded.backend import FORGOTTEN_AFTER_MS, EmbeddedBackend, Restore
from voice.sfu.embedded.backend_void_tokens import MOST, VoidTokens
from voice.sfu.embedded.control import Address, EnsureRoom, Mute, Numbers, Participants, Ready, Remove, Result, Verb

SECRET = "a secret of at least thirty-two bytes"
HOUR_MS = 3_600_000


@dataclass(slots=True)
class StandIn:
    """A worker that notes what it is asked."""

    number: int
    asked: list[Verb] = field(default_factory=list)
    signalling: Address = field(default_factory=Address)

    async def ask(self, verb: Verb) -> Result:
        self.asked.append(verb)
        return Result(done=True)


@dataclass(slots=True)
class Stage:
    """A crew whose workers come and go as the test says."""

    most: int = 3
    workers: dict[int, StandIn] = field(default_factory=lambda: {0: StandIn(0)})
    grown: int = 0
    people: bool | None = None
    listener: SfuListener = print
    lost: Callable[[int], None] = print
    restore: Restore = lambda number: ()

    async def start(self, listener: SfuListener, lost: Callable[[int], None], restore: Restore) -> None:
        self.listener, self.lost, self.restore = listener, lost, restore

    async def stop(self) -> None:
        for room in ("kitchen", "garden"):
            self.listener(Left(room, "alice", "PA_1", LeaveReason.BACKEND_LOST))

    def running(self) -> Sequence[StandIn]:
        return list(self.workers.values())

    async def reach(self, number: int) -> StandIn:
        if number not in self.workers:
            raise SfuUnavailable(f"{number} is not running")
        return self.workers[number]

    def has(self, number: int) -> bool:
        return number < self.most

    def grow(self) -> None:
        self.grown += 1

    async def in_use(self, people: bool) -> None:
        self.people = people

    def deaths(self) -> int:
        return 0

    def numbers(self) -> dict[int, Numbers]:
        return {}

    def ready(self) -> Sequence[Ready]:
        return []


@dataclass(slots=True)
class Play:
    crew: Stage
    now_ms: int = 1_000_000_000
    events: list[SfuEvent] = field(default_factory=list)
    backend: EmbeddedBackend = field(init=False)

    def __post_init__(self) -> None:
        self.backend = EmbeddedBackend(
            self.crew, "ws://sfu.test", "key", SECRET,
            now_s=lambda: self.now_ms / 1000, monotonic_ms=lambda: self.now_ms,
        )  # fmt: skip
        self.backend.on_event(self.events.append)


@pytest.fixture
async def play() -> Play:
    play = Play(Stage())
    await play.backend.start()
    return play


def somebody(name: str) -> ParticipantState:
    return ParticipantState(name, f"PA_{name}", 1)


async def test_a_room_goes_to_the_worker_with_least_to_do(play: Play) -> None:
    play.crew.workers[1] = StandIn(1)
    await play.backend.ensure_room("kitchen", RoomOptions())
    for name in ("alice", "bob", "carol"):
        play.crew.listener(Joined("kitchen", somebody(name)))
    urls = [await play.backend.ensure_room(f"room {number}", RoomOptions()) for number in range(5)]
    assert [url[-1] for url in urls] == ["1", "1", "1", "1", "0"]


async def test_another_worker_is_started_when_all_have_work(play: Play) -> None:
    await play.backend.ensure_room("kitchen", RoomOptions())
    assert play.crew.grown == 0
    for number in range(play.backend.busy):
        play.crew.listener(Joined("kitchen", somebody(f"guest {number}")))
    await play.backend.ensure_room("garden", RoomOptions())
    assert play.crew.grown == 1


async def test_a_worker_that_comes_back_gets_its_rooms_and_no_others(play: Play) -> None:
    play.crew.workers[1] = StandIn(1)
    await play.backend.ensure_room("kitchen", RoomOptions(max_participants=3))
    await play.backend.ensure_room("garden", RoomOptions())
    await play.backend.remove("kitchen", "bob")
    del play.crew.workers[0]
    play.crew.lost(0)
    assert play.events == [RoomsLost(["kitchen"])]
    assert play.crew.restore(0) == [EnsureRoom("kitchen", RoomOptions(max_participants=3), {"bob": play.now_ms})]
    with pytest.raises(SfuUnavailable):
        await play.backend.mute("kitchen", "alice", "microphone")


async def test_a_room_moves_when_its_worker_does_not_come_back(play: Play) -> None:
    play.crew.workers[1] = StandIn(1)
    await play.backend.ensure_room("kitchen", RoomOptions())
    del play.crew.workers[0]
    assert await play.backend.ensure_room("kitchen", RoomOptions()) == "ws://sfu.test/1"
    assert play.crew.restore(0) == [], "it is not at two workers"


async def test_rooms_are_forgotten_long_after_workers_forgot_them(play: Play) -> None:
    await play.backend.ensure_room("kitchen", RoomOptions())
    await play.backend.ensure_room("garden", RoomOptions())
    play.crew.listener(Joined("garden", somebody("alice")))
    play.now_ms += FORGOTTEN_AFTER_MS + 1
    await play.backend.look_after_rooms()
    assert [verb.room for verb in play.crew.restore(0)] == ["garden"]
    assert play.crew.people is True
    play.crew.listener(Left("garden", "alice", "PA_alice", LeaveReason.LEFT))
    await play.backend.look_after_rooms()
    assert play.crew.restore(0), "she has only just left"
    play.now_ms += FORGOTTEN_AFTER_MS + 1
    await play.backend.look_after_rooms()
    assert play.crew.people is False
    assert play.backend.memory_usage() == {"rooms": 0, "participants": 0, "void_tokens": 0}


async def test_of_a_room_that_nobody_asked_for_nobody_has_to_be_asked(play: Play) -> None:
    assert list(await play.backend.participants("attic")) == []
    assert await play.backend.remove("attic", "bob") is False
    assert await play.backend.permit("attic", Grant("attic", "bob")) is False
    assert play.crew.workers[0].asked == []
    await play.backend.ensure_room("attic", RoomOptions())
    assert play.crew.workers[0].asked == [EnsureRoom("attic", RoomOptions(), {"bob": play.now_ms})]


async def test_verbs_go_to_the_worker_of_the_room(play: Play) -> None:
    play.crew.workers[1] = StandIn(1)
    await play.backend.ensure_room("kitchen", RoomOptions())
    await play.backend.ensure_room("garden", RoomOptions())
    await play.backend.mute("garden", "alice", "camera", muted=False)
    await play.backend.remove("garden", "alice", LeaveReason.MOVED)
    await play.backend.participants("garden")
    assert play.crew.workers[1].asked[1:] == [
        Mute("garden", "alice", "camera", False),
        Remove("garden", "alice", LeaveReason.MOVED),
        Participants("garden"),
    ]
    assert len(play.crew.workers[0].asked) == 1


async def test_nobody_leaves_because_the_server_stops(play: Play) -> None:
    """He joins anew when it is back; his membership in the room stays until then."""
    await play.backend.ensure_room("kitchen", RoomOptions())
    await play.backend.stop()
    assert play.events == []


async def test_one_listener_that_fails_does_not_keep_news_from_the_others(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: SfuEvent) -> None:
        raise RuntimeError("listener")

    backend = EmbeddedBackend(play.crew, "ws://sfu.test", "key", SECRET)
    heard: list[SfuEvent] = []
    backend.on_event(fail)
    backend.on_event(heard.append)
    await backend.start()
    play.crew.listener(Changed("kitchen", somebody("alice")))
    assert heard == [Changed("kitchen", somebody("alice"))]
    assert "listener" in caplog.text


def test_void_tokens_are_kept_as_long_as_tokens_live_and_in_bounds() -> None:
    void, now_ms = VoidTokens(HOUR_MS), int(time.time() * 1000)
    void.add("kitchen", "bob", now_ms)
    void.add("kitchen", "bob", now_ms + 5)
    assert void.of("kitchen", now_ms + HOUR_MS) == {"bob": now_ms + 5}
    void.forget(now_ms + HOUR_MS)
    assert len(void) == 1
    void.forget(now_ms + 2 * HOUR_MS)
    assert len(void) == 0
    for number in range(MOST + 10):
        void.add(f"room {number // 100}", f"guest {number}", now_ms)
    assert len(void) <= MOST
    assert void.of(f"room {MOST // 100}", now_ms), "the newest stay"
