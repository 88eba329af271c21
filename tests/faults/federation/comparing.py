"""Whether servers hold the same: the state of a room event by event, its whole history, the devices of users."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from tests.cast import Client
from tests.faults.federation.town import Town

HEAL_SECONDS = 60.0
"""After that long at most, everybody knows everything."""
PAGE = 500
StateIds = dict[tuple[str, str], str]


async def eventually(check: Callable[[], Awaitable[None]], seconds: float = HEAL_SECONDS) -> float:
    """Until the check holds; how long that took, in seconds. Raises its AssertionError where it never does."""
    start = time.monotonic()
    while True:
        try:
            await check()
            return time.monotonic() - start
        except AssertionError:
            if time.monotonic() - start > seconds:
                raise
        await asyncio.sleep(0.5)


async def state_of(reader: Client, room_id: str) -> StateIds:
    """What its server says is the room's state now."""
    events = await reader.get(("rooms", room_id, "state"))
    return {(event["type"], event["state_key"]): event["event_id"] for event in events}


async def check_same_state(room_id: str, readers: Sequence[Client]) -> None:
    """Event by event."""
    first, *others = [await state_of(reader, room_id) for reader in readers]
    for reader, state in zip(readers[1:], others, strict=True):
        different = {key: (first.get(key), state.get(key)) for key in first.keys() | state.keys()}
        different = {key: ids for key, ids in different.items() if ids[0] != ids[1]}
        assert different == {}, f"{readers[0].user_id} and {reader.user_id} do not see the same state"


async def check_same_state_before(town: Town, room_id: str, event_id: str, servers: Mapping[str, Any]) -> None:
    """What servers tell each other of the state before an event, by /state_ids."""
    names = list(servers)
    answers = {}
    for number, name in enumerate(names):
        asker = town.asker(names[number - 1], servers[name])
        answer = await asker.get("state_ids", room_id, query=[("event_id", event_id)])
        answers[name] = (sorted(answer["pdu_ids"]), sorted(answer["auth_chain_ids"]))
    for name in names[1:]:
        assert answers[name] == answers[names[0]], f"{names[0]} and {name} tell another state before {event_id}"


async def history_of(reader: Client, room_id: str) -> list[dict[str, Any]]:
    """Oldest first, from the room's beginning; every event once."""
    events: list[dict[str, Any]] = []
    start: str | None = None
    while True:
        page = await reader.messages(room_id, limit=PAGE, **{"from": start} if start else {})
        events += page["chunk"]
        start = page.get("end")
        if start is None:
            break
    twice = {event_id: count for event_id, count in Counter(each["event_id"] for each in events).items() if count > 1}
    assert twice == {}, f"{reader.user_id} reads events twice"
    assert events[-1]["type"] == "m.room.create", f"{reader.user_id} does not reach the beginning"
    return events[::-1]


async def check_same_history(
    room_id: str, readers: Sequence[Client], *, may_lack: Collection[str] = ()
) -> list[set[str]]:
    """The ids of all events, for each reader. `may_lack`: events that not every server accepted."""
    histories = [{each["event_id"] for each in await history_of(reader, room_id)} for reader in readers]
    everything = set().union(*histories)
    for reader, history in zip(readers, histories, strict=True):
        lacking = everything - history - set(may_lack)
        assert lacking == set(), f"{reader.user_id} lacks {len(lacking)} of {len(everything)} events"
    return histories


def check_order(what: str, said: Sequence[str], history: Sequence[str]) -> None:
    """What somebody said is in the history, in this order."""
    places = {event_id: place for place, event_id in enumerate(history)}
    lost = [number for number, event_id in enumerate(said) if event_id not in places]
    assert lost == [], f"{what}: some are lost"
    late = [n for n in range(1, len(said)) if places[said[n]] < places[said[n - 1]]]
    assert late == [], f"{what}: of {len(said)}, these come before the one that was said before them"


async def devices_of(reader: Client, users: Collection[str]) -> dict[str, dict[str, Any]]:
    """The keys of all devices of these users, as the reader's server tells them."""
    answer = await reader.post("keys/query", {"device_keys": {user_id: [] for user_id in users}})
    assert answer["failures"] == {}
    return {
        user_id: {device_id: device["keys"] for device_id, device in devices.items()}
        for user_id, devices in answer["device_keys"].items()
    }
