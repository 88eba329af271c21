"""Transactions of peer.example at alpha: what is answered, what is done once, and what harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from config.settings import FederationSettings
from homeserver.federation.incoming.room_intake import NOT_HERE
from homeserver.federation.room_acl import DENIED
from homeserver.protocol.errors import BadJson, Unavailable
from homeserver.protocol.server_keys import read_published_keys
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, key_document, signing_key
from tests.federation.shared_rooms import BOB, shared_room

CAROL = "@carol:other.example"


@pytest.fixture
def bobs(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def until(reached: Callable[[], Awaitable[Any]]) -> None:
    """Real sockets take a moment."""
    for _ in range(200):
        if await reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to this")


# --- PDUs ---


@pytest.mark.parametrize("version", ["1", "3", "6", "10", "11", "12"])
async def test_alice_reads_what_bob_writes(alpha: Home, bobs: ForeignServer, version: str) -> None:
    alice, room = await shared_room(alpha, bobs, version=version)
    await alice.sync()
    events = [room.send(BOB, str(number)) for number in range(3)]
    topic = room.set(BOB, "m.room.member", {"membership": "join", "displayname": "Bob"}, BOB)
    answer = await bobs.send(alpha.server, [*events, topic])
    assert answer == {event.event_id: {} for event in (*events, topic)}
    sync = await alice.sync()
    assert sync.event_ids(room.room_id) == [event.event_id for event in (*events, topic)]
    assert sync.timeline(room.room_id)[0]["content"]["body"] == "0"


async def test_bob_reads_what_alice_writes_built_on_his(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    hello = room.send(BOB, "hello")
    await bobs.send(alpha.server, [hello])
    reply = await alice.send(room.room_id, "reply")
    (event,) = (await alpha.server.application.foreign.pdus.events([reply])).values()
    assert event.prev_event_ids == (hello.event_id,)


async def test_each_event_has_an_answer_of_its_own(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    good = room.send(BOB, "good")
    unsigned = room.build(BOB, "m.room.message", {"body": "unsigned"})
    forbidden = room.build(BOB, "m.room.power_levels", {"users": {BOB: 100}}, "")
    not_there = room.build("@eve:peer.example", "m.room.message", {"body": "I am not in here"})
    lost = room.build(BOB, "m.room.message", {}, prev=["$nothing"])
    pdus = [
        good.pdu,
        {**unsigned.pdu, "signatures": {}},
        forbidden.pdu,
        not_there.pdu,
        lost.pdu,
        {},
        None,
        1,
        {"room_id": 1},
    ]
    answer = await bobs.send(alpha.server, pdus)
    # What is not allowed has been dealt with: "if no error is present, the PDU can be considered successfully handled".
    assert [answer.pop(each.event_id) for each in (good, forbidden, not_there)] == [{}, {}, {}]
    assert set(answer) == {each.event_id for each in (unsigned, lost)}
    assert all(each["error"] for each in answer.values())
    assert (await alice.sync()).event_ids(room.room_id)[-1] == good.event_id


async def test_changed_content_arrives_redacted(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    event = room.send(BOB, "hello")
    await bobs.send(alpha.server, [{**event.pdu, "content": {"body": "Alice owes me money"}}])
    (shown,) = (await alice.sync()).timeline(room.room_id)[-1:]
    assert (shown["event_id"], shown["content"]) == (event.event_id, {})


async def test_events_of_others_may_be_brought(alpha: Home, bobs: ForeignServer, world: World) -> None:
    """ "The sending server" need not be the sender's: what counts is who signed the event."""
    alice, room = await shared_room(alpha, bobs, (BOB, CAROL))
    key = signing_key(7)
    room.keys["other.example"] = key
    forged = room.build(CAROL, "m.room.message", {"body": "forged"}, key=bobs.key)
    bobs.peer.says("/_matrix/key/v2/server", key_document(bobs.name, bobs.key))
    answer = await bobs.send(alpha.server, [forged])
    assert answer[forged.event_id]["error"]
    keyring = alpha.server.application.federation.keyring
    document = key_document("other.example", key)
    await keyring._keep(document, read_published_keys(document, "other.example", world.clock.now_ms()), 0)
    real = room.send(CAROL, "real")
    assert await bobs.send(alpha.server, [real]) == {real.event_id: {}}
    assert (await alice.sync()).event_ids(room.room_id)[-1] == real.event_id


async def test_rooms_that_nobody_here_is_in(alpha: Home, bobs: ForeignServer) -> None:
    strange = ForeignRoom.create("1").send("@mallory:peer.example", "hello")
    assert await bobs.send(alpha.server, [strange]) == {strange.event_id: {"error": NOT_HERE}}
    # Since version 3 an event has no id that could be told without knowing the room's version.
    assert await bobs.send(alpha.server, [ForeignRoom.create("10").send("@mallory:peer.example", "hello")]) == {}
    alice, room = await shared_room(alpha, bobs)
    await alice.leave(room.room_id)
    late = room.send(BOB, "late")
    assert await bobs.send(alpha.server, [late]) == {late.event_id: {"error": NOT_HERE}}


async def test_a_server_that_the_room_denies(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    other = await alice.create_room(preset="public_chat", room_version="10")
    await alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.example"]})
    event = room.send(BOB, "hello")
    assert await bobs.send(alpha.server, [event]) == {event.event_id: {"error": DENIED}}
    assert other != room.room_id
    await alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"]})
    assert await bobs.send(alpha.server, [event]) == {event.event_id: {}}


# --- Transactions ---


async def test_a_repetition_gets_the_same_answer_without_work(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    event, lost = room.send(BOB, "hello"), room.build(BOB, "m.room.message", {}, prev=["$nothing"])
    first = await bobs.send(alpha.server, [event, lost], txn_id="a")
    heard = len(bobs.peer.heard)
    assert await bobs.send(alpha.server, [event, lost], txn_id="a") == first
    assert await bobs.send(alpha.server, [room.send(BOB, "other")], txn_id="a") == first
    assert len(bobs.peer.heard) == heard
    assert (await alice.sync()).event_ids(room.room_id)[-1] == event.event_id


async def test_a_repetition_meanwhile_waits_for_the_first(alpha: Home, bobs: ForeignServer) -> None:
    _, room = await shared_room(alpha, bobs)
    event = room.send(BOB, "hello")
    answers = await asyncio.gather(*(bobs.send(alpha.server, [event], txn_id="a") for _ in range(5)))
    assert answers == [{event.event_id: {}}] * 5


async def test_old_answers_are_forgotten(alpha: Home, bobs: ForeignServer, world: World) -> None:
    await bobs.send(alpha.server, [], txn_id="a")
    database = alpha.server.application.base.database
    count = "SELECT count(*) FROM received_transactions"
    assert await database.fetchval(count) == 1
    world.clock.advance(days=1, hours=2)

    async def gone() -> bool:
        return bool(await database.fetchval(count) == 0)

    await until(gone)


async def announced(home: Home, uri: str, length: int) -> bytes:
    """The first line of the answer to a request whose body never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", home.server.ports[0])
    writer.write(f"PUT {uri} HTTP/1.1\r\nHost: alpha.example\r\nContent-Length: {length}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return answer


async def test_transactions_that_are_none(alpha: Home, bobs: ForeignServer) -> None:
    server, uri = alpha.server, f"{V1}/send/x"
    for body, expected in (
        ({"pdus": [{}] * 51}, (400, "M_INVALID_PARAM")),
        ({"pdus": [], "edus": [{}] * 101}, (400, "M_INVALID_PARAM")),
        ({"pdus": {}}, (400, "M_BAD_JSON")),
        ({"pdus": [], "edus": 1}, (400, "M_BAD_JSON")),
        ([], (400, "M_BAD_JSON")),
        ({"pdus": [], "origin": "mallory.example"}, (403, "M_FORBIDDEN")),
    ):
        await bobs.ask(server, "PUT", uri, body, expect=expected)
    await bobs.ask(server, "PUT", f"{V1}/send/{'x' * 256}", {"pdus": []}, expect=(400, "M_INVALID_PARAM"))
    for data in (b"{", b'{"pdus": [{"room_id": "\xff"}]}', b"[" * 10_000, b"\0"):
        answer = await bobs.raw(server, "PUT", uri, {"pdus": []}, data=data)
        assert (answer.status, answer.json()["errcode"]) == (400, "M_NOT_JSON"), data
    assert b" 413 " in await announced(alpha, uri, 13 * 1024 * 1024)
    # Nothing of all that was taken for the transaction of that name.
    assert await bobs.send(server, [], txn_id="x") == {}


async def test_federation_switched_off_takes_nothing(world: World, bobs: ForeignServer) -> None:
    async with running_home(ALPHA, 1, world, federation=FederationSettings(enabled=False)) as alpha:
        await bobs.send(alpha.server, [], expect=(403, "M_FORBIDDEN"))


# --- What takes long ---


def answers_slowly(bobs: ForeignServer, released: asyncio.Event) -> None:
    async def answer(asked: Asked) -> Any:
        await released.wait()
        return bobs._missing_events(asked)

    bobs.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", answer)


async def staged(home: Home) -> list[str]:
    rows = await home.server.application.base.database.fetch("SELECT event_id FROM staged_pdus")
    return [row[0] for row in rows]


async def test_what_takes_long_is_acknowledged_and_goes_on(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    object.__setattr__(alpha.server.application.intake.parts.rooms, "answer_seconds", 0.1)
    released = asyncio.Event()
    answers_slowly(bobs, released)
    room.send(BOB, "between")
    newest = room.send(BOB, "now")
    assert await bobs.send(alpha.server, [newest]) == {newest.event_id: {}}
    assert await staged(alpha) == [newest.event_id]
    released.set()

    async def gone() -> bool:
        return await staged(alpha) == []

    await until(gone)
    assert [each["content"]["body"] for each in (await alice.sync()).timeline(room.room_id)[-2:]] == ["between", "now"]


async def test_a_crash_loses_nothing_that_was_acknowledged(world: World, bobs: ForeignServer) -> None:
    """The server ends while it is fetching; what it had acknowledged is taken up by the next one."""
    async with running_home(ALPHA, 1, world) as alpha:
        alice, room = await shared_room(alpha, bobs)
        application = alpha.server.application
        object.__setattr__(application.intake.parts.rooms, "answer_seconds", 0.1)
        released = asyncio.Event()
        answers_slowly(bobs, released)
        room.send(BOB, "between")
        newest = room.send(BOB, "now")
        await bobs.send(alpha.server, [newest])
        # As after a crash: nobody is at work on it.
        await application.intake.parts.rooms.stop()
        await application.intake.parts.staging.stop()
        assert await staged(alpha) == [newest.event_id]
        released.set()
        await application.intake.parts.staging.recover()
        world.clock.advance(minutes=1)

        async def gone() -> bool:
            return await staged(alpha) == []

        await until(gone)
        assert (await alice.sync()).event_ids(room.room_id)[-1] == newest.event_id


async def test_what_can_never_be_dealt_with_is_forgotten_at_last(
    alpha: Home, bobs: ForeignServer, world: World
) -> None:
    _, room = await shared_room(alpha, bobs)
    object.__setattr__(alpha.server.application.intake.parts.rooms, "answer_seconds", 0.0)
    lost = room.build(BOB, "m.room.message", {}, prev=["$nothing"])
    assert await bobs.send(alpha.server, [lost]) == {lost.event_id: {}}
    assert await staged(alpha) == [lost.event_id]
    world.clock.advance(hours=2)

    async def gone() -> bool:
        return await staged(alpha) == []

    await until(gone)


# --- EDUs ---


class Receiver:
    """Remembers contents, and does with them what they say."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []

    async def __call__(self, origin: str, content: dict[str, Any]) -> None:
        self.got.append((origin, content))
        if content.get("bad") == "json":
            raise BadJson("No")
        if content.get("bad") == "bug":
            raise RuntimeError("A mistake of ours")
        if content.get("bad") == "away":
            raise Unavailable("The database is away")
        if content.get("bad") == "slow":
            await asyncio.sleep(60)


def receiver_of(home: Home, edu_type: str) -> Receiver:
    receiver = Receiver()
    home.server.application.intake.edus._receivers[edu_type] = receiver
    return receiver


async def test_edus_reach_those_who_deal_with_them(alpha: Home, bobs: ForeignServer) -> None:
    receiver = receiver_of(alpha, "org.test")
    object.__setattr__(alpha.server.application.intake.edus, "seconds", 0.05)
    contents: list[dict[str, Any]] = [{"n": 1}, {"bad": "json"}, {"bad": "bug"}, {"bad": "slow"}, {"n": 2}]
    edus = [{"edu_type": "org.test", "content": each} for each in contents]
    nonsense: list[Any] = [
        None, 1, [], {}, {"edu_type": 1, "content": {}}, {"edu_type": "org.test"},
        {"edu_type": "org.test", "content": []}, {"edu_type": "org.unknown", "content": {}},
        {"edu_type": "org.test", "content": {"large": "a" * 200_000}},
    ]  # fmt: skip
    assert await bobs.send(alpha.server, [], [*nonsense, *edus]) == {}
    assert receiver.got == [("peer.example", each) for each in contents]


async def test_edus_come_again_where_the_database_was_away(alpha: Home, bobs: ForeignServer) -> None:
    receiver = receiver_of(alpha, "org.test")
    edu = {"edu_type": "org.test", "content": {"bad": "away"}}
    await bobs.send(alpha.server, [], [edu], txn_id="a", expect=503)
    await bobs.send(alpha.server, [], [edu], txn_id="a", expect=503)
    assert len(receiver.got) == 2


async def test_typing_and_receipts_of_a_denied_server_are_dropped(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    open_room = await alice.create_room(preset="public_chat")
    await alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.example"]})
    typing, receipts = receiver_of(alpha, "m.typing"), receiver_of(alpha, "m.receipt")
    edus = [
        {"edu_type": "m.typing", "content": {"room_id": room.room_id, "user_id": BOB, "typing": True}},
        {"edu_type": "m.typing", "content": {"room_id": open_room, "user_id": BOB, "typing": True}},
        {"edu_type": "m.receipt", "content": {room.room_id: {}, open_room: {}}},
        {"edu_type": "m.receipt", "content": {room.room_id: {}}},
    ]
    await bobs.send(alpha.server, [], edus)
    # The same where the rooms are not in memory.
    cache = alpha.server.application.base.cache
    cache._live.clear()
    await bobs.send(alpha.server, [], edus)
    assert [content["room_id"] for _, content in typing.got] == [open_room] * 2
    assert [list(content) for _, content in receipts.got] == [[open_room]] * 2
