"""Alice's phone is told by a push gateway what happens while she is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from config.settings import OutgoingHttpSettings, Settings
from tests.cast import Server
from tests.clock import FakeClock
from tests.gateway import PushGateway
from tests.homeserver import running_homeserver, server_settings
from tests.services.push.pushing import alice_and_bob, read, until

NO_BADGE = "org.matrix.msc4076.disable_badge_count"
OPEN = OutgoingHttpSettings(verify_tls=False, ip_denylist=())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, outgoing_http=OPEN)


async def test_a_message_is_pushed_with_all_that_is_known(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server, name="Kitchen")
    await bob.put(("profile", bob.user_id, "displayname"), {"displayname": "Bob the cook"})
    await alice.post("pushers/set", gateway.pusher(data={"brand": "x"}))
    event_id = await bob.send(room_id, "dinner is ready")
    told = await gateway.next()
    device = told.pop("devices")[0]
    assert told == {
        "event_id": event_id,
        "id": event_id,
        "room_id": room_id,
        "room_name": "Kitchen",
        "type": "m.room.message",
        "sender": bob.user_id,
        "sender_display_name": "Bob the cook",
        "content": {"msgtype": "m.text", "body": "dinner is ready"},
        "prio": "high",
        "counts": {"unread": 1},
    }
    assert device == {
        "app_id": "org.example.app",
        "pushkey": "key",
        "pushkey_ts": server.clock.now_ms() // 1000,
        "data": {"brand": "x"},
        "tweaks": {"sound": "default"},
    }


async def test_only_ids_are_told_where_the_client_wants_no_more(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher(data={"format": "event_id_only"}))
    event_id = await bob.send(room_id, "hello")
    told = await gateway.next()
    assert set(told) == {"event_id", "room_id", "counts", "prio", "devices"}
    assert (told["event_id"], told["counts"]) == (event_id, {"unread": 1})
    assert "tweaks" not in told["devices"][0]


async def test_nobody_is_told_of_what_he_wrote_or_wants_not_to_hear(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    await alice.send(room_id, "my own words")
    await bob.send(room_id, {"msgtype": "m.notice", "body": "a machine speaks"})
    await alice.put(("pushrules", "global", "room", room_id), {"actions": []})
    await bob.send(room_id, "muted")
    mention = {"msgtype": "m.text", "body": "hey", "m.mentions": {"user_ids": [alice.user_id]}}
    await bob.send(room_id, mention)
    told = await gateway.next()
    assert told["content"] == mention
    assert told["devices"][0]["tweaks"] == {"sound": "default", "highlight": True}
    assert gateway.unread == 0


async def test_ignored_people_push_nothing(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    carol = await server.register("carol")
    await carol.join(room_id)
    await alice.post("pushers/set", gateway.pusher())
    ignored = {"ignored_users": {bob.user_id: {}}}
    await alice.put(("user", alice.user_id, "account_data", "m.ignored_user_list"), ignored)
    await bob.send(room_id, "ignored")
    await bob.invite(await bob.create_room(), alice)
    await carol.send(room_id, "heard")
    told = await gateway.next()
    assert (told["content"]["body"], told["counts"]) == ("heard", {"unread": 1})


async def test_an_invitation_is_pushed(server: Server, gateway: PushGateway) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await alice.post("pushers/set", gateway.pusher())
    room_id = await bob.create_room(name="Secret garden")
    await bob.invite(room_id, alice)
    told = await gateway.next()
    assert (told["type"], told["membership"], told["user_is_target"]) == ("m.room.member", "invite", True)
    assert (told["room_id"], told["room_name"], told["counts"]) == (room_id, "Secret garden", {"unread": 1})


async def test_a_room_without_a_name_is_called_after_who_is_in_it(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    await bob.send(room_id, "one")
    assert (await gateway.next())["room_name"] == "bob"
    for name in ("carol", "dave", "erin"):
        await (await server.register(name)).join(room_id)
    await bob.send(room_id, "two")
    assert (await gateway.next())["room_name"] == "bob, carol, dave and 1 others"
    await bob.put(("directory", "room", "#den:test"), {"room_id": room_id})
    await bob.set_state(room_id, "m.room.canonical_alias", {"alias": "#den:test"})
    await bob.send(room_id, "three")
    told = await gateway.next()
    assert (told["room_name"], told["room_alias"]) == ("#den:test", "#den:test")


async def test_who_is_invited_is_not_told_who_is_inside(server: Server, gateway: PushGateway) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await alice.post("pushers/set", gateway.pusher())
    await bob.invite(await bob.create_room(), alice)
    assert "room_name" not in await gateway.next()


async def test_reading_elsewhere_clears_the_number_on_the_phone(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher("counted"))
    await alice.post("pushers/set", gateway.pusher("uncounted", data={NO_BADGE: True}))
    event_id = await bob.send(room_id, "hello")
    told = {each["devices"][0]["pushkey"]: each for each in (await gateway.next(), await gateway.next())}
    assert told["counted"]["counts"] == {"unread": 1}
    assert "counts" not in told["uncounted"]
    await read(alice, room_id, event_id)
    server.clock.advance(seconds=1)
    badge = await gateway.next()
    assert (badge["counts"], badge["devices"][0]["pushkey"]) == ({"unread": 0}, "counted")
    assert "event_id" not in badge
    server.clock.advance(seconds=5)
    await asyncio.sleep(0.05)
    assert gateway.unread == 0


async def test_numbers_are_of_all_rooms_and_threads(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    other = await bob.create_room(preset="public_chat")
    await alice.join(other)
    await alice.post("pushers/set", gateway.pusher())
    root = await bob.send(room_id, "root")
    assert (await gateway.next())["counts"] == {"unread": 1}
    in_thread = {
        "msgtype": "m.text", "body": "reply", "m.relates_to": {"rel_type": "m.thread", "event_id": root},
    }  # fmt: skip
    reply = await bob.send(room_id, in_thread)
    assert (await gateway.next())["counts"] == {"unread": 2}
    await bob.send(other, "elsewhere")
    assert (await gateway.next())["counts"] == {"unread": 3}
    await read(alice, room_id, reply, thread_id=root)
    server.clock.advance(seconds=1)
    assert (await gateway.next())["counts"] == {"unread": 2}


async def test_a_pusher_that_is_switched_off_is_told_nothing(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher("off", **{"org.matrix.msc3881.enabled": False}))
    await alice.post("pushers/set", gateway.pusher("on"))
    await bob.send(room_id, "hello")
    assert (await gateway.next())["devices"][0]["pushkey"] == "on"
    await alice.post("pushers/set", gateway.pusher("on", **{"org.matrix.msc3881.enabled": False}))
    await alice.post("pushers/set", gateway.pusher("off", **{"org.matrix.msc3881.enabled": True}))
    await bob.send(room_id, "hello")
    assert (await gateway.next())["devices"][0]["pushkey"] == "off"


async def test_addresses_of_this_machine_are_not_contacted(
    tmp_path: Path, database_dsn: str, clock: FakeClock, gateway: PushGateway
) -> None:
    settings = server_settings(tmp_path, outgoing_http=OutgoingHttpSettings(verify_tls=False))
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob, room_id = await alice_and_bob(server)
        await alice.post("pushers/set", gateway.pusher())
        await bob.send(room_id, "hello")
        await until(lambda: server.application.push.delivery.memory_usage()["failing"] == 1)
    assert gateway.unread == 0


async def test_a_deactivated_account_is_told_nothing(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    await alice.post("account/deactivate", {"auth": alice.password_auth()})
    assert not server.application.push.pushers.registry.pushed
    await bob.send(room_id, "hello")
    assert await server.application.base.database.fetchval("SELECT count(*) FROM pushers") == 0


async def test_names_that_are_no_names_and_endless_ones(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    member = {"membership": "join", "displayname": "B" * 30_000}
    await bob.set_state(room_id, "m.room.member", member, bob.user_id)
    await bob.set_state(room_id, "m.room.name", {"name": ["Kitchen"]})
    await bob.send(room_id, {"msgtype": ["m.text"], "body": {"not": "a text"}})
    told = await gateway.next()
    assert (told["sender_display_name"], told["room_name"]) == ("B" * 255, "B" * 255)
    await bob.set_state(room_id, "m.room.name", {"name": "K" * 30_000})
    await bob.send(room_id, "hello")
    assert (await gateway.next())["room_name"] == "K" * 255
