"""What is fetched for events whose past is not here, from whom, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pytest

from homeserver.federation.incoming.gaps import MAX_CALLS, Gaps
from homeserver.federation.incoming.incoming import Incoming
from homeserver.federation.incoming.patience import FREE, Patience
from homeserver.federation.incoming.supplies import Supplies
from homeserver.federation.pdu_checks import PduChecks
from homeserver.federation.remote_events import RemoteEvents
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Outcome, Verdict
from tests.clock import FakeClock
from tests.federation.conftest import Us
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, Refusal, signing_key
from tests.federation.room_memory import RoomMemory
from tests.federation.test_pdu_checks import KnownKeys, renamed

PEER = "peer.example"
MISSING = "/_matrix/federation/v1/get_missing_events"


@dataclass(slots=True)
class Story:
    """Mallory's room at peer.example, of which we know what was there at the beginning."""

    mallory: ForeignServer
    room: ForeignRoom
    memory: RoomMemory
    incoming: Incoming

    async def receive(self, *events: Event) -> list[Verdict]:
        return await self.incoming.receive(PEER, self.room.room_id, events)

    def asked(self, what: str) -> int:
        """How often the peer was asked this."""
        return sum(1 for each in self.mallory.peer.paths() if each.startswith(f"{V1}/{what}/"))


@pytest.fixture(params=["2", "4", "12"])
def story(us: Us, peer: Peer, clock: FakeClock, request: pytest.FixtureRequest) -> Story:
    return make_story(us, peer, clock, request.param)


@pytest.fixture
def short(us: Us, peer: Peer, clock: FakeClock) -> Story:
    return make_story(us, peer, clock, "4", fetching_seconds=0.3)


async def from_the_beginning(room_nid: int) -> int:
    """All of the room is here, or to be had."""
    return 0


def make_story(us: Us, peer: Peer, clock: FakeClock, version: str, **more: Any) -> Story:
    mallory = ForeignServer(peer)
    room = mallory.host(ForeignRoom.create(version, now_ms=0))
    memory = RoomMemory.of(room, list(room.events.values()))
    remote = RemoteEvents(us.client, PduChecks(KnownKeys({PEER: signing_key(2)})))
    supplies = Supplies(remote, memory.store, None, memory)  # type: ignore[arg-type]
    gaps = Gaps(remote, memory.ask, from_the_beginning)
    incoming = Incoming(memory, memory.ask, gaps, supplies, memory.accept, Patience(clock), **more)  # type: ignore[arg-type]
    return Story(mallory, room, memory, incoming)


def outcomes(verdicts: Collection[Verdict]) -> set[Outcome]:
    return {each.outcome for each in verdicts}


async def test_events_whose_past_is_here_ask_nobody(story: Story) -> None:
    events = [story.room.send(MALLORY, str(number)) for number in range(20)]
    assert outcomes(await story.receive(*reversed(events))) == {Outcome.ACCEPTED}
    assert [each.event for each in story.memory.arrived[0]] == events
    assert story.memory.statements == 1
    assert story.mallory.peer.heard == []


async def test_known_events_are_not_received_again(story: Story) -> None:
    event, create = story.room.send(MALLORY, "hi"), next(iter(story.room.events.values()))
    await story.receive(event)
    assert outcomes(await story.receive(event, create)) == {Outcome.KNOWN}
    assert len(story.memory.arrived) == 1


async def test_what_is_between_is_fetched(story: Story) -> None:
    between = [story.room.send(MALLORY, str(number)) for number in range(5)]
    between.append(story.room.set(MALLORY, "m.room.topic", {"topic": "new"}))
    newest = story.room.send(MALLORY, "now")
    assert outcomes(await story.receive(newest)) == {Outcome.ACCEPTED}
    assert [each.event for each in story.memory.arrived[0]] == [*between, newest]
    assert story.asked("get_missing_events") == 1


async def test_a_long_gap_is_fetched_in_pieces(story: Story) -> None:
    """A server that gives ten at a time, like one of the others."""
    few_at_a_time(story, 10)
    between = [story.room.send(MALLORY, str(number)) for number in range(45)]
    newest = story.room.send(MALLORY, "now")
    assert outcomes(await story.receive(newest)) == {Outcome.ACCEPTED}
    assert [each.event for each in story.memory.arrived[0]] == [*between, newest]
    assert story.asked("get_missing_events") == 5


def few_at_a_time(story: Story, limit: int) -> None:
    def answer(asked: Asked) -> Any:
        asked.body["limit"] = limit
        return story.mallory._missing_events(asked)

    story.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", answer)


async def test_what_came_is_not_asked_for_again(story: Story) -> None:
    """Forty events by turns of two servers, of which one brings every second: as after an outage of ours."""
    few_at_a_time(story, 10)
    talk = [story.room.send(MALLORY, str(number)) for number in range(80)]
    assert outcomes(await story.receive(*talk[1::2])) == {Outcome.ACCEPTED}
    assert {each.event.event_id for each in story.memory.arrived[0]} == {each.event_id for each in talk}
    assert not any(each.told for each in story.memory.arrived[0])
    assert story.asked("get_missing_events") <= 5


async def test_a_gap_too_long_stays_one_and_its_state_is_asked_for(story: Story) -> None:
    few_at_a_time(story, 3)
    topic = story.room.set(MALLORY, "m.room.topic", {"topic": "long ago"})
    for number in range(3 * MAX_CALLS + 5):
        story.room.send(MALLORY, str(number))
    newest = story.room.send(MALLORY, "now")
    assert outcomes(await story.receive(newest)) == {Outcome.ACCEPTED}
    assert (story.asked("get_missing_events"), story.asked("state_ids")) == (MAX_CALLS, 1)
    first = story.memory.arrived[0][0]
    assert len(story.memory.arrived[0]) == 3 * MAX_CALLS + 1
    (told,) = first.told
    assert told.after_event_id == first.event.prev_event_ids[0]
    assert told.state["m.room.topic", ""] == topic.event_id
    assert all(not each.told for each in story.memory.arrived[0][1:])


def refuses_missing_events(story: Story) -> None:
    def refuse(asked: Asked) -> Any:
        raise Refusal(403, "M_FORBIDDEN")

    story.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", refuse)


async def test_who_sends_an_event_and_says_that_there_is_nothing_before_it_is_not_believed(story: Story) -> None:
    path = f"{V1}/get_missing_events/{story.room.room_id}"
    story.mallory.peer.says(path, {"events": []})
    story.room.send(MALLORY, "withheld")
    (verdict,) = await story.receive(story.room.send(MALLORY, "now"))
    assert (verdict.outcome, story.asked("state_ids"), story.memory.arrived) == (Outcome.UNDECIDED, 0, [])
    # What is built on it asks for it again, and is received with it once it is there.
    del story.mallory.peer.answers[path]
    assert outcomes(await story.receive(story.room.send(MALLORY, "later"))) == {Outcome.ACCEPTED}
    assert len(story.memory.arrived[0]) == 3


async def test_the_state_after_a_missing_state_event_has_that_event(story: Story) -> None:
    refuses_missing_events(story)
    topic = story.room.set(MALLORY, "m.room.topic", {"topic": "missed"})
    await story.receive(story.room.send(MALLORY, "now"))
    (told,) = story.memory.arrived[0][0].told
    assert told.state["m.room.topic", ""] == topic.event_id


async def test_many_missing_state_events_come_in_one_request(story: Story) -> None:
    refuses_missing_events(story)
    for number in range(60):
        story.room.set(MALLORY, "org.test", {}, str(number))
    assert outcomes(await story.receive(story.room.send(MALLORY, "now"))) == {Outcome.ACCEPTED}
    assert (story.asked("state"), story.asked("event")) == (1, 1)
    # What two servers disagree about is one of the few things that are missing.
    story.room.set(MALLORY, "org.test", {"more": 1}, "3")
    assert outcomes(await story.receive(story.room.send(MALLORY, "again"))) == {Outcome.ACCEPTED}
    assert (story.asked("state"), story.asked("event")) == (1, 2)


async def test_missing_auth_events_are_fetched_and_theirs(story: Story) -> None:
    """Somebody whose membership we never saw, whose join was authorised by rules that we never saw."""
    tip = story.room.tip
    rules = story.room.set(MALLORY, "m.room.join_rules", {"join_rule": "public", "again": True})
    join = story.room.member("@eve:peer.example", "join")
    story.room.tip = tip
    hello = story.room.build("@eve:peer.example", "m.room.message", {"body": "hi"}, auth=[join.event_id])
    assert outcomes(await story.receive(hello)) == {Outcome.ACCEPTED}
    assert {rules.event_id, join.event_id} <= story.memory.standings.keys()
    assert story.asked("event") == 2


async def test_one_that_cannot_be_helped_harms_no_other(story: Story) -> None:
    ok = story.room.send(MALLORY, "ok")
    lost = story.room.build(MALLORY, "m.room.message", {}, prev=["$nowhere:peer.example"])
    on_top = story.room.build(MALLORY, "m.room.message", {}, prev=[lost.event_id], depth=5)
    unauthorised = story.room.build(MALLORY, "m.room.message", {}, auth=["$nothing:peer.example"])
    verdicts = await story.receive(lost, on_top, ok, unauthorised)
    expected = [Outcome.UNDECIDED, Outcome.UNDECIDED, Outcome.ACCEPTED, Outcome.UNDECIDED]
    assert [each.outcome for each in verdicts] == expected
    assert all(each.reason for each in verdicts if each.outcome is Outcome.UNDECIDED)


async def test_a_chain_without_end_ends(short: Story) -> None:
    """Mallory makes up a past on demand; each answer is what was asked for, and built on more."""
    room, made = short.room, {"count": 0}

    def invent(depth: int, prev: str) -> Event:
        made["count"] += 1
        return room.build(MALLORY, "m.room.message", {"n": made["count"]}, prev=[prev], depth=depth)

    chain = [invent(10_000, "$none")]
    for step in range(3_000):
        chain.append(invent(10_001 + step, chain[-1].event_id))
    by_id = {each.event_id: each for each in chain}

    def answer(asked: Asked) -> Any:
        (latest,) = asked.body["latest_events"]
        return {"events": [by_id[by_id[latest].prev_event_ids[0]].pdu]}

    short.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", answer)
    verdicts = await short.receive(chain[-1])
    assert outcomes(verdicts) == {Outcome.UNDECIDED}
    assert short.asked("get_missing_events") == MAX_CALLS
    assert len(short.mallory.peer.heard) < MAX_CALLS + 5
    assert short.memory.arrived == []


async def test_a_server_that_does_not_answer_holds_up_its_own_events_only(short: Story) -> None:
    never = asyncio.Event()

    async def wait(asked: Asked) -> Any:
        await never.wait()

    short.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", wait)
    tip = list(short.room.tip)
    short.room.send(MALLORY, "withheld")
    hanging = asyncio.create_task(short.receive(short.room.send(MALLORY, "now")))
    await asyncio.sleep(0.05)
    fine = short.room.build(MALLORY, "m.room.message", {"body": "fine"}, prev=tip)
    assert outcomes(await short.receive(fine)) == {Outcome.ACCEPTED}
    (verdict,) = await hanging
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "What it is built on could not be had in time")
    never.set()


async def test_who_makes_us_ask_in_vain_is_not_followed_for_a_while(short: Story, clock: FakeClock) -> None:
    def lost() -> Event:
        return short.room.build(MALLORY, "m.room.message", {}, prev=["$nowhere"])

    for _ in range(FREE):
        await short.receive(lost())
    heard = len(short.mallory.peer.heard)
    assert outcomes(await short.receive(lost())) == {Outcome.UNDECIDED}
    assert len(short.mallory.peer.heard) == heard
    # What needs nothing is received all the same.
    assert outcomes(await short.receive(short.room.send(MALLORY, "plain"))) == {Outcome.ACCEPTED}
    clock.advance(minutes=1)
    await short.receive(lost())
    assert len(short.mallory.peer.heard) > heard


@pytest.mark.parametrize("version", ["1", "2"])
async def test_circles_are_received_by_nobody(us: Us, peer: Peer, clock: FakeClock, version: str) -> None:
    """Where servers choose the ids of events, two can be built on each other."""
    story = make_story(us, peer, clock, version)
    one = story.room.build(MALLORY, "m.room.message", {}, prev=["$two:peer.example"], depth=9)
    other = story.room.build(MALLORY, "m.room.message", {}, prev=[one.event_id], depth=9)
    other = renamed(other, "$two:peer.example", signing_key(2))
    assert outcomes(await story.receive(one, other)) == {Outcome.UNDECIDED}
    assert story.memory.arrived == []


async def test_a_told_state_that_is_none_is_not_believed(story: Story) -> None:
    """Two events for one entry; a room without its beginning; nonsense."""
    story.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", lambda asked: {"events": []})
    old = story.room.set(MALLORY, "m.room.topic", {"topic": "1"})
    missing = story.room.set(MALLORY, "m.room.topic", {"topic": "2"})
    state = [each.event_id for each in story.room.state_events()]
    create = story.room.state["m.room.create", ""]
    for answer in (
        {"pdu_ids": [*state, old.event_id], "auth_chain_ids": []},
        {"pdu_ids": [each for each in state if each != create], "auth_chain_ids": []},
        {"pdu_ids": [], "auth_chain_ids": []},
        {"pdu_ids": [1], "auth_chain_ids": []},
        {"pdu_ids": {}},
        [],
    ):
        story.mallory.peer.says(f"{V1}/state_ids/{story.room.room_id}", answer)
        story.incoming.patience.of_use(PEER, story.room.room_id)
        event = story.room.build(MALLORY, "m.room.message", {}, prev=[missing.event_id])
        assert outcomes(await story.receive(event)) == {Outcome.UNDECIDED}, answer
    assert story.memory.arrived == []


async def test_a_giant_state_is_refused(story: Story) -> None:
    story.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", lambda asked: {"events": []})
    missing = story.room.send(MALLORY, "withheld")
    giant = {"pdu_ids": [f"${number}:peer.example" for number in range(50_000)], "auth_chain_ids": []}
    story.mallory.peer.says(f"{V1}/state_ids/{story.room.room_id}", giant)
    (verdict,) = await story.receive(story.room.build(MALLORY, "m.room.message", {}, prev=[missing.event_id]))
    assert verdict.outcome is Outcome.UNDECIDED
    assert (story.asked("state"), story.asked("event")) == (0, 0)


async def test_events_of_other_rooms_are_no_part_of_the_answer(story: Story) -> None:
    other = ForeignRoom.create(story.room.version.version, name="other", now_ms=0)
    strange = other.send(MALLORY, "strange")
    missing = story.room.send(MALLORY, "withheld")
    newest = story.room.send(MALLORY, "now")
    answer = {"events": [strange.pdu, missing.pdu, {}, None, {**missing.pdu, "signatures": {}}]}
    story.mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", lambda asked: answer)
    assert outcomes(await story.receive(newest)) == {Outcome.ACCEPTED}
    assert [each.event for each in story.memory.arrived[0]] == [missing, newest]


async def test_a_server_that_gives_nothing(story: Story) -> None:
    def refuse(asked: Asked) -> Any:
        raise Refusal(403, "M_FORBIDDEN")

    for method, what in (("POST", "get_missing_events"), ("GET", "state_ids"), ("GET", "state")):
        story.mallory.peer.serves(method, f"{V1}/{what}/{{room_id}}", refuse)
    missing = story.room.send(MALLORY, "withheld")
    event = story.room.build(MALLORY, "m.room.message", {}, prev=[missing.event_id])
    assert outcomes(await story.receive(event)) == {Outcome.UNDECIDED}
