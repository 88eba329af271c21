"""Gateways that fail, refuse and never answer; servers that stop and are killed: what is told in the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from config.settings import OutgoingHttpSettings, Settings
from tests.cast import Server
from tests.clock import FakeClock
from tests.gateway import PushGateway, push_gateway
from tests.homeserver import running_homeserver, server_settings
from tests.services.push.pushing import alice_and_bob, failed, read, until

OPEN = OutgoingHttpSettings(verify_tls=False, ip_denylist=())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, outgoing_http=OPEN)


async def test_a_gateway_that_fails_is_tried_again_in_order(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    gateway.answers.extend([500, 502])
    first = await bob.send(room_id, "one")
    second = await bob.send(room_id, "two")
    assert (await gateway.next())["event_id"] == first
    await failed(server, 1)
    server.clock.advance(seconds=1)
    assert (await gateway.next())["event_id"] == first
    await failed(server, 2)
    server.clock.advance(seconds=1)
    await asyncio.sleep(0.05)
    assert gateway.unread == 0
    server.clock.advance(seconds=1)
    assert [(await gateway.next())["event_id"] for _ in range(2)] == [first, second]


async def test_what_was_read_while_the_gateway_was_away_is_not_pushed(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    gateway.answers.append(500)
    await bob.send(room_id, "one")
    await gateway.next()
    await failed(server, 1)
    two = await bob.send(room_id, "two")
    three = await bob.send(room_id, "three")
    await until(lambda: server.application.push.feed.waiting == 0)
    await read(alice, room_id, two)
    server.clock.advance(seconds=1)
    told = await gateway.next()
    assert (told["event_id"], told["counts"]) == (three, {"unread": 1})


async def test_a_day_old_notification_is_no_news(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    gateway.answers.append(500)
    await bob.send(room_id, "old")
    await gateway.next()
    await failed(server, 1)
    server.clock.advance(hours=25)
    new = await bob.send(room_id, "new")
    told = await gateway.next()
    assert (told["event_id"], told["counts"]) == (new, {"unread": 2})


async def test_a_rejected_key_is_a_pusher_less_and_others_are_not(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher("key_1"))
    await alice.post("pushers/set", gateway.pusher("key_2"))
    gateway.closed = True
    gateway.answers.extend([{"rejected": ["key_1", "key_2"]}, {"rejected": ["other"]}])
    await bob.send(room_id, "hello")
    rejected = (await gateway.next())["devices"][0]["pushkey"]
    await gateway.next()
    gateway.let_go()
    await until(lambda: len(server.application.push.pushers.of_user(alice.user_id)) == 1)
    (left,) = (await alice.get("pushers"))["pushers"]
    assert left["pushkey"] != rejected


async def test_an_answer_that_makes_no_sense_counts_as_taken(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    gateway.answers.extend([{"rejected": {"key": 1}}, {}])
    events = [await bob.send(room_id, text) for text in ("one", "two")]
    assert [(await gateway.next())["event_id"] for _ in range(2)] == events
    assert len((await alice.get("pushers"))["pushers"]) == 1


async def test_a_restart_loses_nothing_and_repeats_nothing(
    settings: Settings, database_dsn: str, clock: FakeClock, gateway: PushGateway
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob, room_id = await alice_and_bob(server)
        await alice.post("pushers/set", gateway.pusher())
        await bob.send(room_id, "arrived")
        await gateway.next()
        gateway.answers.extend([500])
        waiting = [await bob.send(room_id, text) for text in ("one", "two", "three")]
        await gateway.next()
        await until(lambda: server.application.push.feed.waiting == 0)
        await failed(server, 1)
        await read(alice, room_id, waiting[1])
    async with running_homeserver(settings, database_dsn, clock) as server:
        told = await gateway.next()
        assert (told["event_id"], told["counts"]) == (waiting[2], {"unread": 1})
        bob.base_url, bob.session = server.base_url, server.session
        last = await bob.send(room_id, "after")
        assert (await gateway.next())["event_id"] == last
    async with running_homeserver(settings, database_dsn, clock) as server:
        await until(lambda: server.application.push.feed.behind_at is None)
        await asyncio.sleep(0.05)
        assert gateway.unread == 0


async def test_what_was_redacted_while_it_waited_is_not_told(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    gateway.answers.append(500)
    await bob.send(room_id, "one")
    await gateway.next()
    secret = await bob.send(room_id, "my secret")
    last = await bob.send(room_id, "last")
    await failed(server, 1)
    await bob.redact(room_id, secret)
    server.clock.advance(seconds=1)
    assert (await gateway.next())["content"]["body"] == "one"
    assert (await gateway.next())["event_id"] == last


async def test_a_pusher_that_is_set_again_is_tried_again(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    await alice.post("pushers/set", gateway.pusher())
    gateway.answers.append(500)
    event_id = await bob.send(room_id, "one")
    await gateway.next()
    await failed(server, 1)
    await alice.post("pushers/set", gateway.pusher())
    assert (await gateway.next())["event_id"] == event_id


async def test_a_gateway_that_never_answers_holds_up_nobody_else(server: Server, gateway: PushGateway) -> None:
    alice, bob, room_id = await alice_and_bob(server)
    mallory = await server.register("mallory")
    await mallory.join(room_id)
    async with push_gateway() as hole:
        hole.closed = True
        for number in range(20):
            await mallory.post("pushers/set", hole.pusher(f"hole{number}"))
        await alice.post("pushers/set", gateway.pusher())
        events = [await bob.send(room_id, text) for text in ("one", "two")]
        assert [(await gateway.next())["event_id"] for _ in range(2)] == events
        assert len(hole.received) <= 4


async def test_after_a_kill_the_last_seconds_are_told_again_but_for_what_was_read(
    settings: Settings, database_dsn: str, clock: FakeClock, gateway: PushGateway
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob, room_id = await alice_and_bob(server)
        await alice.post("pushers/set", gateway.pusher())
        stored = server.application.push.feed.passed
        events = [await bob.send(room_id, text) for text in ("read", "not read")]
        for _ in events:
            await gateway.next()
        await read(alice, room_id, events[0])
        carol = await server.register("carol")
        await carol.post("pushers/set", gateway.pusher("carol's"))
        await carol.join(room_id)
    async with running_homeserver(settings, database_dsn, clock) as server:
        # As it would have been left: what was told in the last seconds was not written down.
        database = server.application.base.database
        await database.execute("DELETE FROM push_progress")
        await database.execute("INSERT INTO push_progress (position) VALUES ($1)", stored)
        server.application.push.feed.newest = stored
    async with running_homeserver(settings, database_dsn, clock) as server:
        told = await gateway.next()
        assert (told["event_id"], told["devices"][0]["pushkey"]) == (events[1], "key")
        await until(lambda: server.application.push.feed.behind_at is None)
        # Carol came later.
        assert gateway.unread == 0
