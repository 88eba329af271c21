"""MSC3026: who is busy is here, and does not want to be disturbed."""

from __future__ import annotations

from typing import Any

from homeserver.services.presence.presence import Presence
from tests.cast import Client, Server


def _of(server: Server) -> Presence:
    presence = server.application.readers.presence
    assert isinstance(presence, Presence)
    return presence


async def _presence(reader: Client, user: Client) -> Any:
    return await reader.get(("presence", user.user_id, "status"))


async def _say(client: Client, presence: str) -> None:
    await client.put(("presence", client.user_id, "status"), {"presence": presence})


async def test_bob_sees_that_alice_is_busy_until_she_says_otherwise(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await bob.join(await alice.create_room(preset="public_chat"))
    assert (await alice.get("/_matrix/client/versions"))["unstable_features"][
        "org.matrix.msc3026.busy_presence"
    ] is True
    first = await bob.sync()
    await _say(alice, "busy")
    server.clock.advance(seconds=2)
    await _of(server).tell()
    events = (await bob.sync(since=first["next_batch"]))["presence"]["events"]
    assert {event["sender"]: event["content"]["presence"] for event in events}[alice.user_id] == "busy"
    assert (await _presence(bob, alice))["currently_active"] is True

    # Her client goes on syncing, as online as ever; so does another one of hers.
    phone = await alice.login()
    await alice.sync()
    await phone.sync(set_presence="unavailable")
    assert (await _presence(bob, alice))["presence"] == "busy"
    await phone.put(("presence", alice.user_id, "status"), {"presence": "online"})
    assert (await _presence(bob, alice))["presence"] == "busy"
    await _say(alice, "online")
    assert (await _presence(bob, alice))["presence"] == "online"


async def test_who_is_gone_is_not_busy(server: Server) -> None:
    alice = await server.register("alice")
    await alice.sync(set_presence="busy")
    assert (await _presence(alice, alice))["presence"] == "busy"
    server.clock.advance(minutes=3)
    await _of(server).expire()
    assert (await _presence(alice, alice))["presence"] == "offline"
    await alice.sync()
    assert (await _presence(alice, alice))["presence"] == "online"
