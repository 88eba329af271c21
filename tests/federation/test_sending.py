"""What alpha tells other servers: in order, all of it, again after an outage, and nothing to those who are away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.cast import Client
from tests.clock import FakeClock
from tests.federation.asker import member, stores
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, Refusal
from tests.federation.shared_rooms import BOB, shared_room

WAIT_SECONDS = 5.0


@pytest.fixture
def bobs(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def until(found: Callable[[], Any]) -> Any:
    """Wait for what happens between real sockets."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (result := found()):
            await asyncio.sleep(0.01)
    return result


def event_bodies(bobs: ForeignServer) -> list[str]:
    """The messages that have arrived, in order."""
    return [
        pdu["content"]["body"]
        for transaction in bobs.received
        for pdu in transaction["pdus"]
        if pdu["type"] == "m.room.message"
    ]


def edus(bobs: ForeignServer, edu_type: str) -> list[dict[str, Any]]:
    found = [edu for transaction in bobs.received for edu in transaction.get("edus", [])]
    return [edu["content"] for edu in found if edu["edu_type"] == edu_type]


def goes_away(bobs: ForeignServer) -> Callable[[], None]:
    """The server answers nothing any more; the returned function brings it back."""
    working = bobs.peer.operations[("PUT", f"{V1}/send/{{txn_id}}")]

    def broken(asked: Asked) -> Any:
        raise Refusal(503, "M_UNKNOWN")

    bobs.peer.serves("PUT", f"{V1}/send/{{txn_id}}", broken)
    return lambda: bobs.peer.serves("PUT", f"{V1}/send/{{txn_id}}", working)


async def say_all(alice: Client, room_id: str, words: Sequence[str]) -> None:
    for word in words:
        await alice.send(room_id, word)


async def test_messages_arrive_in_order(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    words = [str(number) for number in range(60)]
    await say_all(alice, room.room_id, words)
    await until(lambda: event_bodies(bobs) == words)
    assert all(len(transaction["pdus"]) <= 50 for transaction in bobs.received)
    assert {transaction["origin"] for transaction in bobs.received} == {ALPHA}


async def test_what_others_wrote_is_not_sent_on(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    hello = room.send(BOB, "hello alice")
    await bobs.send(alpha.server, [hello])
    await alice.send(room.room_id, "hello bob")
    await until(lambda: event_bodies(bobs) == ["hello bob"])


async def test_who_is_put_out_hears_of_it(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    await alice.post(("rooms", room.room_id, "kick"), {"user_id": BOB})
    pdus = await until(lambda: [pdu for each in bobs.received for pdu in each["pdus"] if pdu.get("state_key") == BOB])
    assert pdus[-1]["content"]["membership"] == "leave"
    await alice.send(room.room_id, "among ourselves")
    await alice.send(room.room_id, "and again")
    assert event_bodies(bobs) == []


async def test_an_outage(alpha: Home, bobs: ForeignServer, clock: FakeClock) -> None:
    """Nothing is lost, nothing is sent twice, and it goes on as soon as the other server speaks."""
    alice, room = await shared_room(alpha, bobs)
    await alice.send(room.room_id, "before")
    await until(lambda: event_bodies(bobs) == ["before"])
    come_back = goes_away(bobs)
    words = [f"missed {number}" for number in range(120)]
    await say_all(alice, room.room_id, words)
    pauses = alpha.server.application.federation.client
    assert pauses is not None
    await until(lambda: pauses.pauses.retry_at_ms(bobs.name) > 0)
    tries = len(bobs.peer.heard)
    await alice.send(room.room_id, "the last")
    assert len(bobs.peer.heard) <= tries + 1  # it is left alone
    come_back()
    await bobs.ask(alpha.server, "GET", f"{V1}/query/profile?user_id={alice.user_id}")
    await until(lambda: event_bodies(bobs) == ["before", *words, "the last"])


async def test_a_server_is_tried_again_by_itself(alpha: Home, bobs: ForeignServer, clock: FakeClock) -> None:
    alice, room = await shared_room(alpha, bobs)
    come_back = goes_away(bobs)
    await alice.send(room.room_id, "hello?")
    client = alpha.server.application.federation.client
    assert client is not None
    await until(lambda: client.pauses.retry_at_ms(bobs.name) > 0)
    come_back()
    clock.advance(hours=2)
    await until(lambda: event_bodies(bobs) == ["hello?"])


async def test_a_restart_loses_nothing(world: World, bobs: ForeignServer) -> None:
    """The server ends while the other one is away; the next start goes on from the database."""
    database = await world.postgres.clone()
    try:
        async with running_home(ALPHA, 1, world, database=database) as alpha:
            alice, room = await shared_room(alpha, bobs)
            await alice.send(room.room_id, "before")
            await until(lambda: event_bodies(bobs) == ["before"])
            come_back = goes_away(bobs)
            await say_all(alice, room.room_id, ["one", "two"])
            await alice.put(("sendToDevice", "org.example", "txn"), {"messages": {BOB: {"PHONE": {"word": "psst"}}}})
        come_back()
        world.clock.advance(hours=2)
        async with running_home(ALPHA, 1, world, database=database):
            await until(lambda: event_bodies(bobs) == ["before", "one", "two"])
            (message,) = await until(lambda: edus(bobs, "m.direct_to_device"))
            assert message["messages"] == {BOB: {"PHONE": {"word": "psst"}}}
    finally:
        await world.postgres.drop(database)


async def test_thousands_of_dead_servers(alpha: Home, bobs: ForeignServer) -> None:
    """They cost a row and a few bytes each: no task, and no request after the first."""
    alice, room = await shared_room(alpha, bobs)
    dead = [f"@eve:dead{number}.example" for number in range(300)]
    await stores(alpha.server, room.room_id, *(member(user_id, "join") for user_id in dead))
    await alice.send(room.room_id, "one")
    await until(lambda: event_bodies(bobs) == ["one"])
    memory = alpha.server.application.base.life.memory["sending"]
    await until(lambda: memory()["sending"] == 0)
    await alice.send(room.room_id, "two")
    await until(lambda: event_bodies(bobs) == ["one", "two"])
    await until(lambda: memory()["sending"] == 0)
    assert memory()["events"] == 0


async def test_typing_and_receipts(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    await alice.put(("rooms", room.room_id, "typing", alice.user_id), {"typing": True})
    (typing,) = await until(lambda: edus(bobs, "m.typing"))
    assert typing == {"room_id": room.room_id, "user_id": alice.user_id, "typing": True}
    hello = room.send(BOB, "hello")
    await bobs.send(alpha.server, [hello])
    await alice.post(("rooms", room.room_id, "receipt", "m.read", hello.event_id))
    (receipt,) = await until(lambda: edus(bobs, "m.receipt"))
    told = receipt[room.room_id]["m.read"][alice.user_id]
    assert told["event_ids"] == [hello.event_id]
    await alice.post(("rooms", room.room_id, "receipt", "m.read.private", hello.event_id))
    await alice.put(("rooms", room.room_id, "typing", alice.user_id), {"typing": False})
    await until(lambda: [each for each in edus(bobs, "m.typing") if not each["typing"]])
    assert "m.read.private" not in str(bobs.received)


async def test_presence(alpha: Home, bobs: ForeignServer, clock: FakeClock) -> None:
    alice, _ = await shared_room(alpha, bobs)
    await alice.sync()
    clock.advance(seconds=5)
    await alice.put(("presence", alice.user_id, "status"), {"presence": "online", "status_msg": "here"})
    pushes = await until(lambda: [push for each in edus(bobs, "m.presence") for push in each["push"]])
    assert pushes[-1]["user_id"] == alice.user_id
    assert pushes[-1]["presence"] == "online"


async def test_devices(alpha: Home, bobs: ForeignServer) -> None:
    """Each change follows the one before; a server that missed one can ask for all."""
    alice, _ = await shared_room(alpha, bobs)
    keys = device_keys(alice)
    await alice.post("keys/upload", {"device_keys": keys})
    first = (await until(lambda: [each for each in edus(bobs, "m.device_list_update") if "keys" in each]))[-1]
    assert (first["user_id"], first["device_id"]) == (alice.user_id, alice.device_id)
    listed = await bobs.ask(alpha.server, "GET", f"{V1}/user/devices/{alice.user_id}")
    assert listed["stream_id"] == first["stream_id"]
    assert [device["device_id"] for device in listed["devices"]] == [alice.device_id]
    phone = await alice.login()
    await phone.post("keys/upload", {"device_keys": device_keys(phone)})
    second = (
        await until(lambda: [e for e in edus(bobs, "m.device_list_update") if e["device_id"] == phone.device_id])
    )[0]
    assert second["prev_id"] == [first["stream_id"]]
    # That it has a new name is told, what it is called is not.
    await phone.put(("devices", phone.device_id), {"display_name": "A telephone"})
    third = (
        await until(lambda: [e for e in edus(bobs, "m.device_list_update") if e["prev_id"] == [second["stream_id"]]])
    )[0]
    assert third["device_id"] == phone.device_id
    assert "A telephone" not in str(third)
    await phone.post("logout")
    gone = await until(lambda: [each for each in edus(bobs, "m.device_list_update") if each.get("deleted")])
    assert gone[-1]["device_id"] == phone.device_id


def device_keys(client: Client) -> dict[str, Any]:
    name = client.device_id
    return {
        "user_id": client.user_id,
        "device_id": name,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"ed25519:{name}": "A" * 43, f"curve25519:{name}": "B" * 43},
        "signatures": {client.user_id: {f"ed25519:{name}": "C" * 86}},
    }


async def test_who_was_present_before_two_servers_met_is_so_for_both(
    alpha: Home, bobs: ForeignServer, clock: FakeClock
) -> None:
    alice = await alpha.server.register("alice")
    await alice.sync()
    clock.advance(seconds=5)
    room_id = await alice.create_room(preset="public_chat", room_version="10")
    assert edus(bobs, "m.presence") == []
    await stores(alpha.server, room_id, member(BOB, "join"))

    # Long enough for the meeting, not for her to become idle.
    clock.advance(seconds=1)
    pushes = await until(lambda: [push for each in edus(bobs, "m.presence") for push in each["push"]])
    assert (pushes[-1]["user_id"], pushes[-1]["presence"]) == (alice.user_id, "online")
