"""What connections hold is counted as what it takes, and Mallory makes room for himself before others do."""

from __future__ import annotations

from homeserver.services.sliding_sync.connections import (
    MAX_CONNECTIONS_OF_DEVICE,
    MAX_WEIGHT_OF_USER,
    Connections,
    Delta,
    Place,
    Selection,
    SentRoom,
)
from homeserver.services.sliding_sync.request import Extensions, ListConfig, RoomExtension, RoomFilter, Rules
from homeserver.services.sliding_sync.required_state import RequiredState, RoomConfig
from homeserver.services.sync.lazy_members import LazyMembers
from homeserver.services.tokens import StreamToken

DEVICES = 8
LITTLE = RoomConfig(1, frozenset((RequiredState(frozenset((("m.room.name", ""),))),)))
MUCH = RoomConfig(1, frozenset((RequiredState(frozenset((f"type {n}", "x" * 200) for n in range(5_000))),)))


def ask(connections: Connections, user_id: str, device_id: str, conn_id: str, rules: Rules, rooms: int = 0) -> str:
    """A first request and its answer; returns its `pos`."""
    connection = connections.open((user_id, device_id, conn_id), None)
    relevant = {f"!{number}:test": LITTLE for number in range(rooms)}
    place = Place(connection.turn, StreamToken(1), Selection(rules, relevant, {"all": list(relevant)}))
    delta = Delta(rooms={room_id: SentRoom(1, LITTLE, "join", 1) for room_id in relevant})
    return connections.answered(connection, connection.turn, place, delta)


def test_what_was_asked_for_counts() -> None:
    connections = Connections(LazyMembers())
    ask(connections, "@alice:test", "PHONE", "", Rules({"all": ListConfig(LITTLE)}), rooms=30)
    assert 31 < connections.memory_usage()["weight"] < 60, "a room that was sent counts one"
    ask(connections, "@mallory:test", "PHONE", "", Rules({"all": ListConfig(MUCH)}))
    assert 5_000 < connections.memory_usage()["weight"] < 15_000
    names = tuple(f"!{number}:test" for number in range(1_000))
    assert Extensions(typing=RoomExtension(rooms=names), receipts=RoomExtension(rooms=names)).weight > 2_000
    tagged = ListConfig(LITTLE, filter=RoomFilter(tags=frozenset(f"{n}" + "t" * 1_000 for n in range(500))))
    assert Rules({"all": tagged}).weight > 1_500


def test_mallory_takes_no_memory_from_others() -> None:
    connections = Connections(LazyMembers())
    alices = ask(connections, "@alice:test", "PHONE", "", Rules({"all": ListConfig(LITTLE)}), rooms=30)
    for device in range(DEVICES):
        for number in range(MAX_CONNECTIONS_OF_DEVICE):
            mallorys = ask(connections, "@mallory:test", f"{device}", f"{number}", Rules({"all": ListConfig(MUCH)}))
            assert connections.memory_usage()["weight"] < MAX_WEIGHT_OF_USER + 100
    assert 1 < connections.memory_usage()["connections"] < DEVICES * MAX_CONNECTIONS_OF_DEVICE
    # The newest are there, and whoever is modest has not noticed anything.
    connections.open(("@mallory:test", f"{DEVICES - 1}", f"{MAX_CONNECTIONS_OF_DEVICE - 1}"), mallorys)
    connections.open(("@alice:test", "PHONE", ""), alices)


async def test_nothing_is_left_of_devices_that_are_gone() -> None:
    connections = Connections(LazyMembers())
    for device in ("PHONE", "LAPTOP"):
        ask(connections, "@alice:test", device, "", Rules({"all": ListConfig(LITTLE)}), rooms=30)
        ask(connections, "@alice:test", device, "other", Rules({"all": ListConfig(MUCH)}))
    await connections.devices_deleted("@alice:test", ["PHONE", "LAPTOP"])
    assert connections.memory_usage() == {"connections": 0, "weight": 0}
    assert connections == Connections(connections.lazy)
