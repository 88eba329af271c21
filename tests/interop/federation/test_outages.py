"""One server is away for a while; back again, nothing is missing on either side."""

from __future__ import annotations

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.scenes import meet
from tests.interop.federation.servers import FederatedServer


async def outage(pair: Pair, person: MakePerson, away: FederatedServer, home: str, messages: int) -> None:
    alice, bob, room = await meet(pair, home, person, "10")
    await bob.until_event(room, await alice.send(room, "before"))
    away.kill()
    missed = [await alice.send(room, f"while you were away {number}") for number in range(messages)]
    await alice.set_state(room, "m.room.topic", {"topic": "changed meanwhile"})
    away.start()
    await bob.until_state(
        room, "m.room.topic", "", lambda content: content.get("topic") == "changed meanwhile", seconds=60
    )
    after = await alice.send(room, "after")
    await bob.until_event(room, after, seconds=60)
    history = [event["event_id"] for event in await bob.history(room)]
    assert [event_id for event_id in history if event_id in missed] == missed[::-1]


async def test_we_are_away(pair: Pair, person: MakePerson) -> None:
    await outage(pair, person, pair.ours, "theirs", 60)


async def test_they_are_away(pair: Pair, person: MakePerson) -> None:
    await outage(pair, person, pair.theirs, "ours", 60)


async def test_a_message_to_a_device_waits_for_the_return(pair: Pair, person: MakePerson) -> None:
    alice, bob, _ = await meet(pair, "ours", person, "11")
    await bob.sync()
    pair.theirs.kill()
    for number in range(3):
        messages = {bob.user_id: {bob.device_id: {"number": number}}}
        await alice.put(f"/sendToDevice/org.example.whisper/{number}", {"messages": messages})
    pair.theirs.start()
    heard: list[int] = []

    def all_heard(answer: dict[str, object]) -> bool:
        to_device = answer.get("to_device", {})
        assert isinstance(to_device, dict)
        heard.extend(event["content"]["number"] for event in to_device.get("events", []))
        return len(heard) >= 3

    await bob.until(all_heard, "three whispers", seconds=60)
    assert heard == [0, 1, 2]
