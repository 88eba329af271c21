"""A bridge, its ghosts, and Alice who talks to them. Application service API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import Settings
from homeserver.services.appservices.client import MAX_CONNECTIONS_OF_ONE
from tests.bridge import AS_TOKEN, Bridge, registration, running_bridge, written
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings
from tests.signers import CrossSigner

MESSAGE = {"msgtype": "m.text", "body": "hello"}


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with running_bridge() as bridge:
        yield bridge


@pytest.fixture
def settings(tmp_path: Path, bridge: Bridge) -> Settings:
    document = registration(
        bridge.url, receive_ephemeral=True, protocols=["net"], **{"org.matrix.msc3202": True}
    )  # fmt: skip
    return server_settings(tmp_path, appservice_files=written(tmp_path, document))


async def test_a_ghost_joins_and_speaks_and_the_bridge_hears_everything_in_order(
    server: Server, bridge: Bridge
) -> None:
    alice = await server.register("alice")
    ghost, bot = await bridge.ghost(server, "_net_bob"), bridge.bot(server)
    room_id = await alice.create_room(preset="public_chat")
    before = await alice.send(room_id, "nobody of the bridge is here")
    await bot.post(("join", room_id), user_id=ghost)
    path = ("rooms", room_id, "send", "m.room.message", "one")
    of_ghost = (await bot.put(path, MESSAGE, user_id=ghost))["event_id"]
    of_alice = await alice.send(room_id, "hello, ghost")
    heard = await bridge.event(of_alice)
    assert heard["room_id"] == room_id
    assert heard["sender"] == alice.user_id
    told = [event["event_id"] for event in bridge.events]
    assert told.index(of_ghost) < told.index(of_alice)
    assert before not in told
    assert bridge.events[0]["content"]["membership"] == "join"


async def test_who_leaves_takes_the_room_along(server: Server, bridge: Bridge) -> None:
    alice, ghost, bot = await server.register("alice"), await bridge.ghost(server, "_net_bob"), bridge.bot(server)
    room_id, other = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for each in (room_id, other):
        await bot.post(("join", each), user_id=ghost)
    await bot.post(("rooms", room_id, "leave"), user_id=ghost)
    unheard = await alice.send(room_id, "he is gone")
    await bridge.event(await alice.send(other, "still here"))
    assert unheard not in [event["event_id"] for event in bridge.events]
    assert "leave" in [event["content"].get("membership") for event in bridge.events]


async def test_a_bridge_that_was_away_is_told_the_same_transaction_again_and_all_the_rest(
    server: Server, bridge: Bridge
) -> None:
    alice, ghost, bot = await server.register("alice"), await bridge.ghost(server, "_net_bob"), bridge.bot(server)
    room_id = await alice.create_room(preset="public_chat")
    bridge.refuse = True
    await bot.post(("join", room_id), user_id=ghost)
    await bridge.until(lambda: bridge.attempts)
    sent = [await alice.send(room_id, f"number {number}") for number in range(150)]
    bridge.refuse = False
    server.clock.advance(seconds=5)
    await bridge.event(sent[-1])
    assert bridge.transactions[0][0] == bridge.attempts[0]
    assert [event["event_id"] for event in bridge.events if event["type"] == "m.room.message"] == sent
    assert max(len(body["events"]) for _, body in bridge.transactions) <= 100


async def test_what_a_bridge_missed_waits_for_it_over_a_restart(
    database_dsn: str, clock: FakeClock, settings: Settings, bridge: Bridge
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, ghost = await server.register("alice"), await bridge.ghost(server, "_net_bob")
        room_id = await alice.create_room(preset="public_chat")
        await bridge.bot(server).post(("join", room_id), user_id=ghost)
        await bridge.until(lambda: bridge.events)
        bridge.refuse = True
        sent = [await alice.send(room_id, "nobody listens")]
        await bridge.until(lambda: len(bridge.attempts) > len(bridge.transactions))
        sent.append(await alice.send(room_id, "still nobody"))
    bridge.refuse = False
    async with running_homeserver(settings, database_dsn, clock):
        await bridge.event(sent[1])
    assert [event["event_id"] for event in bridge.events if event["type"] == "m.room.message"] == sent
    assert len({txn_id for txn_id, _ in bridge.transactions}) == len(bridge.transactions)


async def test_names_of_a_bridge_are_nobody_elses(server: Server, bridge: Bridge) -> None:
    alice, bot = await server.register("alice"), bridge.bot(server)
    room_id = await alice.create_room()
    body = {"username": "_net_carol", "password": "long enough for anybody", "auth": {"type": "m.login.dummy"}}
    await server.anonymous().post("register", body, expect=(400, "M_EXCLUSIVE"))
    await alice.put(("directory", "room", "#_net_x:test"), {"room_id": room_id}, expect=(400, "M_EXCLUSIVE"))
    await alice.post("createRoom", {"room_alias_name": "_net_x"}, expect=(400, "M_EXCLUSIVE"))
    await bot.put(("directory", "room", "#_net_x:test"), {"room_id": room_id})
    await bot.put(("directory", "room", "#lobby:test"), {"room_id": room_id}, expect=(400, "M_EXCLUSIVE"))
    await alice.delete(("directory", "room", "#_net_x:test"), expect=(400, "M_EXCLUSIVE"))
    await bridge.event(await alice.send(room_id, "the room has a name of the bridge now"))
    await bot.delete(("directory", "room", "#_net_x:test"))


async def test_a_bridge_registers_and_speaks_for_its_own_users_only(server: Server, bridge: Bridge) -> None:
    alice, bot = await server.register("alice"), bridge.bot(server)
    assert (await bot.get("account/whoami"))["user_id"] == "@bridgebot:test"
    await bot.get("account/whoami", user_id=alice.user_id, expect=(403, "M_FORBIDDEN"))
    await bot.get("account/whoami", user_id="@_net_nobody:test", expect=(403, "M_FORBIDDEN"))
    body = {"type": "m.login.application_service", "username": "mallory"}
    await bot.post("register", body, expect=(400, "M_EXCLUSIVE"))
    await server.anonymous().post("register", body, expect=(401, "M_MISSING_TOKEN"))
    await alice.post("register", body, expect=(401, "M_UNKNOWN_TOKEN"))
    ghost = await bridge.ghost(server, "_net_bob")
    assert (await bot.get("account/whoami", user_id=ghost))["user_id"] == ghost
    identifier = {"type": "m.id.user", "user": ghost}
    login = {"type": "m.login.application_service", "identifier": identifier}
    assert (await bot.post("login", login))["user_id"] == ghost
    await bot.post("login", login | {"identifier": {"type": "m.id.user", "user": "alice"}}, expect=(400, "M_EXCLUSIVE"))
    await server.anonymous().post("login", login, expect=(401, "M_MISSING_TOKEN"))


async def test_devices_without_a_login(server: Server, bridge: Bridge) -> None:
    bot, ghost = bridge.bot(server), await bridge.ghost(server, "_net_bob")
    await bot.get("account/whoami", user_id=ghost, device_id="PHONE", expect=(400, "M_UNKNOWN_DEVICE"))
    await bot.put("devices/PHONE", {"display_name": "A phone"}, user_id=ghost, expect=201)
    await bot.put("devices/PHONE", {"display_name": "The phone"}, user_id=ghost, expect=200)
    assert (await bot.get("devices/PHONE", user_id=ghost))["display_name"] == "The phone"
    assert (await bot.get("account/whoami", user_id=ghost, device_id="PHONE"))["device_id"] == "PHONE"
    await bot.delete("devices/PHONE", user_id=ghost)
    await bot.get("account/whoami", user_id=ghost, device_id="PHONE", expect=(400, "M_UNKNOWN_DEVICE"))


async def test_messages_to_devices_of_the_bridge_come_with_transactions(server: Server, bridge: Bridge) -> None:
    alice, bot, ghost = await server.register("alice"), bridge.bot(server), await bridge.ghost(server, "_net_bob")
    await bot.put("devices/PHONE", {}, user_id=ghost, expect=201)
    await alice.put(("sendToDevice", "m.secret", "one"), {"messages": {ghost: {"PHONE": {"say": "psst"}}}})
    (message,) = await bridge.until(lambda: bridge.of("to_device"))
    assert message == {
        "type": "m.secret",
        "sender": alice.user_id,
        "content": {"say": "psst"},
        "to_user_id": ghost,
        "to_device_id": "PHONE",
    }
    counts = [body["org.matrix.msc3202.device_one_time_keys_count"] for _, body in bridge.transactions]
    assert {ghost: {"PHONE": {"signed_curve25519": 0}}} in counts
    assert await server.application.base.database.fetchval("SELECT count(*) FROM to_device_messages") == 0


async def test_typing_and_receipts_and_presence(server: Server, bridge: Bridge) -> None:
    alice, bot, ghost = await server.register("alice"), bridge.bot(server), await bridge.ghost(server, "_net_bob")
    room_id = await alice.create_room(preset="public_chat")
    await bot.post(("join", room_id), user_id=ghost)
    event_id = await alice.send(room_id, "read this")
    await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": True, "timeout": 20_000})
    await alice.post(("rooms", room_id, "receipt", "m.read", event_id))
    await alice.post(("rooms", room_id, "receipt", "m.read.private", event_id))
    await alice.put(("presence", alice.user_id, "status"), {"presence": "online"})
    await bridge.until(lambda: {each["type"] for each in bridge.of("ephemeral")} >= {"m.typing", "m.receipt"})
    told = bridge.of("ephemeral")
    assert {"type": "m.typing", "room_id": room_id, "content": {"user_ids": [alice.user_id]}} in told
    receipts = [each["content"][event_id] for each in told if each["type"] == "m.receipt"]
    assert [list(each) for each in receipts] == [["m.read"]]
    await bridge.until(lambda: "m.presence" in {each["type"] for each in bridge.of("ephemeral")})


async def test_whom_nobody_knows_the_bridge_makes_on_the_way(server: Server, bridge: Bridge) -> None:
    alice, bot = await server.register("alice"), bridge.bot(server)
    room_id = await alice.create_room(preset="public_chat")

    async def make_user(request: web.Request) -> web.Response:
        await bridge.ghost(server, "_net_carol")
        return web.json_response({})

    async def make_alias(request: web.Request) -> web.Response:
        await bot.put(("directory", "room", "#_net_lobby:test"), {"room_id": room_id})
        return web.json_response({})

    bridge.answers["/users/@_net_carol:test"] = make_user
    bridge.answers["/rooms/#_net_lobby:test"] = make_alias
    await alice.invite(room_id, "@_net_carol:test")
    assert (await bot.get("account/whoami", user_id="@_net_carol:test"))["user_id"] == "@_net_carol:test"
    bob = await server.register("bob")
    assert (await bob.join("#_net_lobby:test"))["room_id"] == room_id
    await bob.get(("directory", "room", "#_net_nowhere:test"), expect=(404, "M_NOT_FOUND"))
    assert bridge.asked == ["/users/@_net_carol:test", "/rooms/#_net_lobby:test", "/rooms/#_net_nowhere:test"]


async def test_all_whom_a_new_room_invites_are_asked_for_together(server: Server, bridge: Bridge) -> None:
    alice, names = await server.register("alice"), ["_net_carol", "_net_dan", "_net_erin"]
    asked, all_asked = list[str](), asyncio.Event()

    async def make_user(request: web.Request) -> web.Response:
        asked.append(request.path)
        if len(asked) == len(names):
            all_asked.set()
        await asyncio.wait_for(all_asked.wait(), 10)
        return web.json_response({})

    await bridge.ghost(server, "_net_known")
    bridge.answers |= {f"/users/@{name}:test": make_user for name in names}
    await alice.create_room(invite=[f"@{name}:test" for name in ("_net_known", *names)])
    assert sorted(bridge.asked) == [f"/users/@{name}:test" for name in names]


async def test_who_asks_for_what_the_bridge_does_not_answer_holds_nobody_up(server: Server, bridge: Bridge) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    ghost, bot = await bridge.ghost(server, "_net_bob"), bridge.bot(server)
    room_id = await alice.create_room(preset="public_chat")
    await bot.post(("join", room_id), user_id=ghost)
    await bridge.until(lambda: bridge.events)
    slow = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await slow.wait()
        return web.json_response({}, status=404)

    names = [f"#_net_{number}:test" for number in range(MAX_CONNECTIONS_OF_ONE + 5)]
    bridge.answers.update((f"/rooms/{name}", wait) for name in names)
    asked = [
        asyncio.create_task(mallory.get(("directory", "room", name), expect=(404, "M_NOT_FOUND"))) for name in names
    ]
    while len(bridge.asked) < MAX_CONNECTIONS_OF_ONE:
        await asyncio.sleep(0.01)
    await bridge.event(await alice.send(room_id, "hello, ghost"))
    slow.set()
    await asyncio.gather(*asked)


async def test_ping(server: Server, bridge: Bridge) -> None:
    alice, bot = await server.register("alice"), bridge.bot(server)
    ping = "/_matrix/client/v1/appservice/bridge/ping"
    await alice.post(ping, {"transaction_id": "meow"}, expect=(403, "M_FORBIDDEN"))
    assert (await bot.post(ping, expect=(502, "M_BAD_STATUS")))["status"] == 404

    async def pong(request: web.Request) -> web.Response:
        assert await request.json() == {"transaction_id": "meow"}
        return web.json_response({})

    bridge.answers["/ping"] = pong
    assert (await bot.post(ping, {"transaction_id": "meow"}))["duration_ms"] >= 0


async def test_a_bridge_says_when_something_was_sent(server: Server, bridge: Bridge) -> None:
    alice, bot = await server.register("alice"), bridge.bot(server)
    room_id = await bot.create_room(preset="public_chat")
    event_id = (await bot.put(("rooms", room_id, "send", "m.room.message", "a"), MESSAGE, ts=1234))["event_id"]
    assert (await bot.get(("rooms", room_id, "event", event_id)))["origin_server_ts"] == 1234
    await bot.put(("rooms", room_id, "send", "m.room.message", "b"), MESSAGE, ts=-1, expect=400)
    await bot.put(("rooms", room_id, "state", "m.room.topic", ""), {"topic": "old"}, ts=77)
    await alice.join(room_id)
    mine = (await alice.put(("rooms", room_id, "send", "m.room.message", "a"), MESSAGE, ts=1234))["event_id"]
    assert (await alice.get(("rooms", room_id, "event", mine)))["origin_server_ts"] != 1234


async def test_third_party_networks(server: Server, bridge: Bridge) -> None:
    alice = await server.register("alice")
    network = {
        "user_fields": ["nick"],
        "location_fields": ["channel"],
        "icon": "mxc://test/icon",
        "field_types": {
            "nick": {"regexp": ".*", "placeholder": "nick"},
            "channel": {"regexp": ".*", "placeholder": "#"},
        },
        "instances": [{"desc": "The net", "network_id": "net", "fields": {}}],
    }

    async def describe(request: web.Request) -> web.Response:
        return web.json_response(network)

    async def find(request: web.Request) -> web.Response:
        assert dict(request.query) == {"nick": "bob"}
        return web.json_response([{"userid": "@_net_bob:test", "protocol": "net", "fields": {"nick": "bob"}}])

    bridge.answers["/thirdparty/protocol/net"] = describe
    bridge.answers["/thirdparty/user/net"] = find
    assert (await alice.get("thirdparty/protocols"))["net"]["instances"][0]["instance_id"] == "bridge|net"
    assert (await alice.get("thirdparty/protocol/net"))["user_fields"] == ["nick"]
    assert [each["userid"] for each in await alice.get("thirdparty/user/net", nick="bob")] == ["@_net_bob:test"]
    assert await alice.get("thirdparty/location/net", channel="x") == []
    await alice.get("thirdparty/protocol/irc", expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize(
    "said",
    ["[" * 300 + "]" * 300, '[{"userid": "@a:b", "fields": {"x": ' + "[" * 300 + "]" * 300 + "}}]", '"x"', "[7]", "\\"],
)
async def test_nonsense_about_a_network_is_passed_over(server: Server, bridge: Bridge, said: str) -> None:
    alice = await server.register("alice")

    async def talk(request: web.Request) -> web.Response:
        return web.Response(text=said)

    bridge.answers["/thirdparty/user/net"] = bridge.answers["/thirdparty/protocol/net"] = talk
    assert await alice.get("thirdparty/user/net", nick="bob") == []
    assert await alice.get("thirdparty/protocols") == {}


async def test_a_bridge_lists_rooms_for_its_network(server: Server, bridge: Bridge) -> None:
    alice, bot = await server.register("alice"), bridge.bot(server)
    room_id, public = await alice.create_room(), await alice.create_room(visibility="public")
    place = ("directory", "list", "appservice", "net", room_id)
    await alice.put(place, {"visibility": "public"}, expect=(403, "M_FORBIDDEN"))
    await bot.put(place, {"visibility": "public"})

    async def listed(**wanted: Any) -> set[str]:
        return {each["room_id"] for each in (await alice.post("publicRooms", wanted))["chunk"]}

    assert await listed() == {public}
    assert await listed(third_party_instance_id="bridge|net") == {room_id}
    assert await listed(third_party_instance_id="bridge|other") == set()
    assert await listed(include_all_networks=True) == {room_id, public}
    await alice.post("publicRooms", {"third_party_instance_id": "net"}, expect=(400, "M_INVALID_PARAM"))
    await bot.put(place, {"visibility": "private"})
    assert await listed(third_party_instance_id="bridge|net") == set()
    assert await listed(include_all_networks=True) == {public}


async def test_rooms_of_nobody_cost_the_bridge_nothing(server: Server, bridge: Bridge) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.send(room_id, "warm")
    database = server.application.base.database
    before = database.statements
    await alice.send(room_id, "nobody of the bridge is here")
    assert database.statements - before <= 2
    assert bridge.attempts == []


def test_tokens_are_in_no_repr(settings: Settings) -> None:
    from homeserver.composition.appservice_files import load_appservices

    (loaded,) = load_appservices(settings.appservice_files, "test").all
    assert AS_TOKEN not in repr(loaded)
    assert "hs-token" not in repr(loaded)


async def test_a_bridge_has_no_password_and_needs_none_for_its_ghosts(server: Server, bridge: Bridge) -> None:
    ghost, bot = await bridge.ghost(server, "_net_bob"), bridge.bot(server)
    for keys in (CrossSigner(ghost), CrossSigner(ghost)):
        await bot.post(("keys", "device_signing", "upload"), keys.keys(), user_id=ghost)
    await bot.post(("account", "deactivate"), {}, user_id=ghost)
    await bot.get(("account", "whoami"), user_id=ghost, expect=403)
    alice = await server.register("alice")
    await bot.post(("account", "deactivate"), {}, user_id=alice.user_id, expect=403)
