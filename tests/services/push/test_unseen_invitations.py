"""Invitations that Alice does not want to see reach her neither by push nor as a number; a locked account hears nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from config.settings import OutgoingHttpSettings, Settings
from homeserver.services.requester import on_behalf_of
from tests.cast import Server
from tests.gateway import PushGateway
from tests.homeserver import server_settings

FILTER = "org.matrix.msc4155.invite_permission_config"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, outgoing_http=OutgoingHttpSettings(verify_tls=False, ip_denylist=()))


async def test_an_unseen_invitation_is_not_pushed_and_not_counted(server: Server, gateway: PushGateway) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    wanted = {"ignored_users": [mallory.user_id]}
    await alice.put(("user", alice.user_id, "account_data", FILTER), wanted)
    await alice.post("pushers/set", gateway.pusher())
    await mallory.create_room(invite=[alice.user_id])
    room_id = await bob.create_room(name="Garden", invite=[alice.user_id])
    told = await gateway.next()
    assert (told["room_id"], told["counts"]) == (room_id, {"unread": 1})
    # Alice changes her mind: then it is one more that waits for her.
    await alice.put(("user", alice.user_id, "account_data", FILTER), {})
    await bob.create_room(invite=[alice.user_id])
    assert (await gateway.next())["counts"] == {"unread": 3}


async def test_nothing_is_pushed_to_the_locked(server: Server, gateway: PushGateway) -> None:
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    room_id = await bob.create_room(preset="public_chat")
    for user in (alice, carol):
        await user.join(room_id)
        await user.post("pushers/set", gateway.pusher(pushkey=user.user_id))
    standings, ada = server.application.accounts.standings, on_behalf_of("@ada:test")
    await standings.set_locked(ada, alice.user_id, True)
    await bob.send(room_id, "not for Alice")
    assert [each["pushkey"] for each in (await gateway.next())["devices"]] == [carol.user_id]
    await standings.set_locked(ada, alice.user_id, False)
    await bob.send(room_id, "welcome back")
    told = [await gateway.next(), await gateway.next()]
    assert {each["content"]["body"] for each in told} == {"welcome back"}
    assert {each["devices"][0]["pushkey"] for each in told} == {alice.user_id, carol.user_id}


async def test_what_waits_is_not_pushed_to_who_was_locked_meanwhile(server: Server, gateway: PushGateway) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    await alice.post("pushers/set", gateway.pusher())
    delivery = server.application.push.delivery
    gateway.answers.append(503)
    await bob.send(room_id, "secret")
    await gateway.next()
    async with asyncio.timeout(10):
        while not any(waiting.failures for waiting in delivery.waiting.values()):
            await asyncio.sleep(0.01)
    standings, ada = server.application.accounts.standings, on_behalf_of("@ada:test")
    await standings.set_locked(ada, alice.user_id, True)
    server.clock.advance(minutes=5)
    await standings.set_locked(ada, alice.user_id, False)
    await bob.send(room_id, "welcome back")
    assert (await gateway.next())["content"]["body"] == "welcome back"
