"""What Mallory's server tells of its users to make ours remember, ask or answer more than it should."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.settings import RateLimitSettings, RoomDirectorySettings
from homeserver.federation.bounded import Bounded
from homeserver.federation.spaces.asking import AskForSpaces
from homeserver.federation.users import device_list_updates, remote_keys
from homeserver.protocol.errors import BadGateway
from homeserver.services.presence.state import REMEMBERED_MS, REMOTE_TIMEOUT_MS
from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys
from homeserver.storage.received_transactions import ReceivedTransactions
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, signing_key
from tests.federation.shared_rooms import BOB, shared_room
from tests.federation.test_sending import until
from tests.federation.test_users_of_others import PHONE, edu, has_devices, keys_of_bob

HUGE = 2**70


@pytest.fixture
def mallory(peer: Peer) -> ForeignServer:
    """Bob is a puppet of hers."""
    return ForeignServer(peer)


def device(device_id: str) -> dict[str, Any]:
    return {**PHONE, "device_id": device_id, "keys": {f"ed25519:{device_id}": "D" * 43}}


def update(device_id: str, stream_id: int, **content: Any) -> dict[str, Any]:
    told = {"user_id": BOB, "device_id": device_id, "stream_id": stream_id, "prev_id": [stream_id - 1]}
    return edu("m.device_list_update", **told, **content)


async def count(home: Home, table: str) -> int:
    found: int = await home.server.application.base.database.fetchval(f"SELECT count(*) FROM {table}")
    return found


# --- Answers to what our users ask ---


async def test_numbers_that_no_client_could_read_are_left_out(alpha: Home, mallory: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, mallory)
    room = {"room_id": "!r:peer.example", "num_joined_members": HUGE, "world_readable": False, "guest_can_join": False}
    mallory.peer.says(f"{V1}/publicRooms", {"chunk": [room], "total_room_count_estimate": HUGE, "x": 1.5})
    found = await alice.post("publicRooms", {}, server="peer.example")
    assert found["chunk"] == [{**room, "num_joined_members": 0}]
    assert "total_room_count_estimate" not in found
    keys = {"A": {"signed_curve25519:A": {"key": HUGE}}, "B": {"signed_curve25519:B": {"key": "x" * 70_000}}}
    mallory.peer.says(f"{V1}/user/keys/claim", {"one_time_keys": {BOB: keys}, "x": 1.5})
    wanted = {BOB: {"A": "signed_curve25519", "B": "signed_curve25519"}}
    assert (await alice.post("keys/claim", {"one_time_keys": wanted}))["one_time_keys"] == {}


async def test_keys_of_everybody_have_a_bound(
    alpha: Home, mallory: ForeignServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together as well as of one server, and of servers there may be many."""
    alice, _ = await shared_room(alpha, mallory)
    has_devices(mallory, *map(device, ("ONE", "TWO")))
    monkeypatch.setattr(remote_keys, "MAX_BYTES_TOLD", 400)
    answer = await alice.post("keys/query", {"device_keys": {BOB: []}})
    assert (list(answer["failures"]), answer["device_keys"]) == (["peer.example"], {})
    monkeypatch.undo()

    monkeypatch.setattr(remote_keys, "MAX_SERVERS", 1)
    carol = "@carol:peer.example"
    has_devices(mallory, PHONE)
    answer = await alice.post("keys/query", {"device_keys": {BOB: [], carol: [], "@eve:nowhere.example": []}})
    assert list(answer["failures"]) == ["nowhere.example"]
    assert set(answer["device_keys"][BOB]) == {"PHONE"}

    has_devices(mallory, {**PHONE, "more": "x" * remote_keys.BYTES_OF_USER * 2})
    answer = await alice.post("keys/query", {"device_keys": {carol: []}})
    assert list(answer["failures"]) == ["peer.example"]


async def test_servers_that_never_answer_do_not_keep_the_answers_of_others(
    alpha: Home, mallory: ForeignServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = await shared_room(alpha, mallory)
    monkeypatch.setattr(remote_keys, "ROUNDS", 0.01)
    never = asyncio.Event()

    async def hangs(request: Asked) -> Any:
        await never.wait()

    mallory.peer.serves("GET", f"{V1}/user/devices/{{user_id}}", hangs)
    answer = await alice.post("keys/query", {"device_keys": {BOB: [], alice.user_id: []}})
    assert answer["failures"]["peer.example"]["errcode"] == "M_CONNECTION_TIMEOUT"
    assert alice.user_id in answer["device_keys"]


async def test_strangers_have_us_ask_now_and_then_only(world: World, mallory: ForeignServer) -> None:
    limits = RateLimitSettings(enabled=True)
    async with running_home(ALPHA, 1, world, rate_limits=limits) as alpha:
        mallory.peer.serves("GET", f"{V1}/query/profile", lambda asked: {"displayname": "Bob"})
        stranger, alice = alpha.server.anonymous(), await alpha.server.register("alice")
        for _ in range(30):
            assert (await stranger.get(("profile", BOB)))["displayname"] == "Bob"
        await stranger.get(("profile", BOB), expect=429)
        await stranger.get(("profile", BOB, "displayname"), expect=429)
        await stranger.get(("profile", alice.user_id))
        assert (await alice.get(("profile", BOB)))["displayname"] == "Bob"


async def test_large_answers_are_not_remembered(
    alpha: Home, mallory: ForeignServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of errors not what she wrote into them, and of profiles those that are no larger than people's."""
    alice, alias = await alpha.server.register("alice"), "#r:peer.example"
    kept: list[Any] = []
    monkeypatch.setattr(Bounded, "put", lambda memory, key, value: kept.append(value))
    refusal = {"errcode": "M_LARGE" * 1_000, "error": "x" * 10_000, "more": "x" * 10_000}
    mallory.peer.says(f"{V1}/query/directory", refusal, status=418)
    answer = await alice.get(("directory", "room", alias), expect=502)
    assert len(answer["error"]) < 200
    (remembered,) = [each for each in kept if hasattr(each, "found")]
    assert (type(remembered.found), remembered.found.data) == (BadGateway, {})
    assert remembered.found.__traceback__ is None
    assert len(remembered.found.message) < 200

    for size, memories in ((5_000, 0), (100, 1)):
        mallory.peer.says(f"{V1}/query/profile", {"org.example.more": "x" * size})
        assert len((await alice.get(("profile", BOB)))["org.example.more"]) == size
        assert len([each for each in kept if hasattr(each, "profile")]) == memories


# --- What she tells by herself ---


async def test_threads_that_she_makes_up(alpha: Home, mallory: ForeignServer) -> None:
    """Receipts are kept by thread: only such threads count as there are."""
    alice, room = await shared_room(alpha, mallory)
    hello = await alice.send(room.room_id, "hello")
    await alice.sync()

    def receipt(thread_id: str) -> dict[str, Any]:
        told = {"data": {"ts": 5, "thread_id": thread_id}, "event_ids": [hello]}
        return edu("m.receipt", **{room.room_id: {"m.read": {BOB: told}}})

    before = await count(alpha, "receipts")
    await mallory.send(alpha.server, edus=[receipt(f"$made-up-{number}") for number in range(20)])
    assert await count(alpha, "receipts") == before
    await mallory.send(alpha.server, edus=[receipt("main"), receipt(hello)])
    assert await count(alpha, "receipts") == before + 2
    (shown,) = (await alice.sync()).ephemeral(room.room_id, "m.receipt")
    assert BOB in shown[hello]["m.read"]


async def test_one_device_after_the_other(alpha: Home, mallory: ForeignServer, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, _ = await shared_room(alpha, mallory)
    monkeypatch.setattr(device_list_updates, "MAX_DEVICES", 3)
    asked = has_devices(mallory, PHONE, stream_id=5)
    await alice.sync()
    await mallory.send(alpha.server, edus=[edu("m.device_list_update", user_id=BOB, device_id="X", stream_id=5)])
    await until(lambda: asked == ["devices"])
    await alice.sync_until(lambda sync: sync.get("device_lists"))
    many = [update(f"D{number}", 6 + number, keys=device(f"D{number}")) for number in range(10)]
    await mallory.send(alpha.server, edus=many)
    assert await count(alpha, "remote_devices") <= 3
    await until(lambda: asked != ["devices"])
    assert set(await keys_of_bob(alice)) == {"PHONE"}


async def test_new_changes_all_the_time(alpha: Home, mallory: ForeignServer) -> None:
    """She tells of the next change whenever she is asked: we stop, and our users hear that there is something new."""
    alice, _ = await shared_room(alpha, mallory)
    await alice.sync()
    asked: list[int] = []

    async def listed(request: Asked) -> Any:
        asked.append(1)
        await mallory.send(alpha.server, edus=[edu("m.device_list_update", user_id=BOB, device_id="X", stream_id=5)])
        return {"user_id": BOB, "stream_id": 1, "devices": []}

    mallory.peer.serves("GET", f"{V1}/user/devices/{{user_id}}", listed)
    await mallory.send(alpha.server, edus=[edu("m.device_list_update", user_id=BOB, device_id="X", stream_id=5)])
    assert BOB in (await alice.sync_until(lambda sync: sync.get("device_lists")))["device_lists"]["changed"]
    assert len(asked) == device_list_updates.MAX_ROUNDS
    has_devices(mallory, PHONE)
    assert set(await keys_of_bob(alice)) == {"PHONE"}


async def test_who_answers_slowly_does_not_keep_others_waiting(alpha: Home, mallory: ForeignServer) -> None:
    users = [f"@puppet{number}:peer.example" for number in range(12)]
    await shared_room(alpha, mallory, users)
    going_on, never = [], asyncio.Event()

    async def hangs(request: Asked) -> Any:
        going_on.append(request.path["user_id"])
        await never.wait()

    mallory.peer.serves("GET", f"{V1}/user/devices/{{user_id}}", hangs)
    changes = [edu("m.device_list_update", user_id=user_id, device_id="X", stream_id=5) for user_id in users]
    await mallory.send(alpha.server, edus=changes)
    await until(lambda: len(going_on) == device_list_updates.RESYNCS_OF_SERVER)
    await asyncio.sleep(0)
    assert len(going_on) == device_list_updates.RESYNCS_OF_SERVER < device_list_updates.RESYNCS_AT_ONCE


async def test_words_of_those_who_are_gone(alpha: Home, mallory: ForeignServer, world: World) -> None:
    """What puppets had to say is forgotten: there may be any number of them. What Alice has to say is not."""
    users = [f"@puppet{number}:peer.example" for number in range(5)]
    alice, _ = await shared_room(alpha, mallory, users)
    await alice.put(("presence", alice.user_id, "status"), {"presence": "online", "status_msg": "here"})
    push = [{"user_id": each, "presence": "online", "status_msg": "buy!"} for each in users]
    await mallory.send(alpha.server, edus=[edu("m.presence", push=push)])
    presence = alpha.server.application.readers.presence
    assert presence.memory_usage()["users"] == 6
    world.clock.advance(ms=REMOTE_TIMEOUT_MS + 1)
    await presence.expire()
    assert presence.memory_usage()["users"] == 6
    world.clock.advance(ms=REMEMBERED_MS)
    await presence.expire()
    assert presence.memory_usage()["users"] == 1


async def test_crowds_of_hers_do_not_push_our_users_out_of_memory(alpha: Home, mallory: ForeignServer) -> None:
    users = [f"@puppet{number}:peer.example" for number in range(5)]
    alice, room = await shared_room(alpha, mallory, users)
    await alice.sync()
    awake = alpha.server.application.base.awake
    push = [{"user_id": each, "presence": "online"} for each in users]
    typing = [edu("m.typing", room_id=room.room_id, user_id=each, typing=True) for each in users]
    await mallory.send(alpha.server, edus=[edu("m.presence", push=push), *typing])
    await alpha.server.application.readers.presence.tell()
    assert not any(awake.is_awake(each) for each in users)
    assert awake.is_awake(alice.user_id)
    assert (await alice.sync()).ephemeral(room.room_id, "m.typing") == [{"user_ids": users}]


async def test_what_is_remembered_of_her_has_an_end(alpha: Home) -> None:
    database, transactions = alpha.server.application.base.database, ReceivedTransactions()
    for number in range(6):
        for origin in ("evil.example", "peer.example"):
            await transactions.add(database, origin, f"t{number}", number, b"{}")
    await transactions.add(database, "quiet.example", "old", 0, b"{}")
    await transactions.prune(database, 1, 3)
    left = await database.fetch("SELECT origin || transaction_id FROM received_transactions ORDER BY 1")
    assert [row[0] for row in left] == [
        f"{origin}.examplet{number}" for origin in ("evil", "peer") for number in (3, 4, 5)
    ]


async def test_keys_of_strangers_are_forgotten(alpha: Home, mallory: ForeignServer) -> None:
    alice, _ = await shared_room(alpha, mallory)
    database, keys = alpha.server.application.base.database, CrossSigningKeys()
    for user_id in (alice.user_id, BOB, "@gone:peer.example"):
        await keys.store(database, user_id, [CrossSigningKey(user_id, "master", "A", b"{}")], 5)
    await keys.forget_strangers(database, 5)
    assert await count(alpha, "cross_signing_keys") == 3
    await keys.forget_strangers(database, 6)
    left = await database.fetch("SELECT user_id FROM cross_signing_keys ORDER BY user_id")
    assert [row[0] for row in left] == [alice.user_id, BOB]


# --- What costs us something before anybody is believed ---


async def test_large_requests_in_the_name_of_others(world: World, mallory: ForeignServer) -> None:
    """Eve sends them as if she were a server that we know; reading them takes long. Small ones of it are believed."""
    async with running_home(ALPHA, 1, world, rate_limits=RateLimitSettings(enabled=True)) as alpha:
        large = {"origin": "peer.example", "origin_server_ts": 1, "pdus": [], "edus": [], "more": "x" * 100_000}
        uri = f"{V1}/send/large"
        assert await mallory.ask(alpha.server, "PUT", uri, large) == {"pdus": {}}
        eve = ForeignServer(Peer(), "peer.example", signing_key(9))
        for _ in range(50):
            await eve.ask(alpha.server, "PUT", f"{V1}/send/eve", {"pdus": []}, expect=401)
        await eve.ask(alpha.server, "PUT", f"{V1}/send/eve", large, expect=429)
        assert await mallory.send(alpha.server) == {}


async def test_questions_that_cost_much_are_answered_less_often(world: World, mallory: ForeignServer) -> None:
    """A search of all rooms, and keys of thousands of users, are no small questions."""
    limits, rooms = RateLimitSettings(enabled=True), RoomDirectorySettings(public_over_federation=True)
    async with running_home(ALPHA, 1, world, rate_limits=limits, room_directory=rooms) as alpha:
        for path, body, free in (("publicRooms", {"limit": 1}, 50), ("user/keys/query", {"device_keys": {}}, 300)):
            for _ in range(free):
                await mallory.ask(alpha.server, "POST", f"{V1}/{path}", body)
            await mallory.ask(alpha.server, "POST", f"{V1}/{path}", body, expect=429)
        await mallory.send(alpha.server)


async def test_she_answers_for_nobody_else(alpha: Home, mallory: ForeignServer) -> None:
    """She puts a room of others into a space of hers. What she says of it is not shown to those who ask its servers."""

    def told(asked: Asked) -> Any:
        room = {"room_id": "!r:far.example", "num_joined_members": 3, "world_readable": True, "guest_can_join": False}
        return {"room": {**room, "children_state": [], "name": "Buy!"}, "children": []}

    mallory.peer.serves("GET", f"{V1}/hierarchy/{{room_id}}", told)
    parts = alpha.server.application.federation
    assert parts.client is not None
    asking = AskForSpaces(parts.client, alpha.server.clock)
    spoiled = await asking.ask("!r:far.example", ["peer.example"])
    assert spoiled is not None
    assert spoiled.room.facts.name == "Buy!"
    assert await asking.ask("!r:far.example", ["far.example"]) is None
    assert await asking.ask("!r:far.example", ["peer.example"]) is spoiled
