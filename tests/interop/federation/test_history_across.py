"""What was said before somebody came, or while nobody of his server was there."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Person, segment
from tests.interop.federation.scenes import MEMBER, meet, says, until_same_state


async def test_coming_back(pair: Pair, home: str, person: MakePerson) -> None:
    """While nobody of Bob's server is in the room, things go on; back in it he sees them."""
    alice, bob, room = await meet(pair, home, person, "10")
    await bob.leave(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("leave"))
    missed = [await alice.send(room, f"missed {number}") for number in range(25)]
    await alice.set_state(room, "m.room.topic", {"topic": "changed meanwhile"})
    await bob.join(room, alice.server_name)
    assert (await bob.state(room))[("m.room.topic", "")]["content"]["topic"] == "changed meanwhile"
    history = [event["event_id"] for event in await bob.history(room)]
    assert [event_id for event_id in history if event_id in missed] == missed[::-1]


async def test_backfill_across_a_gap(pair: Pair, home: str, person: MakePerson) -> None:
    """Bob pages back through what was said before he came, all of it, in order and once."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    room = await alice.create_room("11")
    sent = [await alice.send(room, f"message {number}") for number in range(230)]
    await bob.join(room, here.name)
    history = [event["event_id"] for event in await bob.history(room)]
    assert [event_id for event_id in history if event_id in sent] == sent[::-1]
    assert len(history) == len(set(history))


async def test_only_since_joining(pair: Pair, home: str, person: MakePerson) -> None:
    """Where history is for those who were there, what was said before Bob came stays hidden from him."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    visibility = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    room = await alice.create_room("11", initial_state=[visibility])
    before = await alice.send(room, "among ourselves")
    await bob.join(room, here.name)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    after = await alice.send(room, "welcome")
    await bob.until_event(room, after)
    history = [event["event_id"] for event in await bob.history(room)]
    assert after in history
    assert before not in history


async def test_what_was_said_at_a_time(pair: Pair, home: str, person: MakePerson) -> None:
    """Bob asks for the first message after a moment at which nobody of his server was in the room."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    room = await alice.create_room("11")
    sent = [await alice.send(room, f"message {number}") for number in range(60)]
    moment = (await alice.event(room, sent[5]))["origin_server_ts"]
    await bob.join(room, here.name)
    path = f"/_matrix/client/v1/rooms/{segment(room)}/timestamp_to_event"
    found = await bob.get(path, ts=str(moment), dir="f")
    assert (await alice.event(room, found["event_id"]))["origin_server_ts"] == moment
    assert (await bob.event(room, found["event_id"]))["origin_server_ts"] == moment


async def test_both_at_once(pair: Pair, home: str, person: MakePerson) -> None:
    """Alice and Bob write and set the topic at the same time: both servers have everything, and one topic."""
    alice, bob, room = await meet(pair, home, person, "11")
    await alice.set_state(room, "m.room.power_levels", await _open_to_all(alice, room))
    await bob.until_state(room, "m.room.power_levels", "", lambda content: content.get("state_default") == 0)

    async def write(author: Person) -> list[str]:
        sent = []
        for number in range(10):
            sent.append(await author.send(room, f"{author.user_id} {number}"))
            await author.set_state(room, "m.room.topic", {"topic": f"{author.user_id} {number}"})
        return sent

    sent = [event_id for each in await asyncio.gather(write(alice), write(bob)) for event_id in each]
    for author, reader in ((alice, bob), (bob, alice)):
        await reader.until_event(room, await author.send(room, "done"))
    await until_same_state(room, alice, bob)
    for reader in (alice, bob):
        history = [event["event_id"] for event in await reader.history(room)]
        assert set(sent) <= set(history)
        assert len(history) == len(set(history))


async def _open_to_all(alice: Person, room: str) -> dict[str, Any]:
    levels = (await alice.state(room))[("m.room.power_levels", "")]["content"]
    return {**levels, "state_default": 0, "events": {}}
