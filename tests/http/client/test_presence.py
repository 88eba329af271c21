"""Who is online, and who may know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from homeserver.protocol.errors import Unavailable
from homeserver.services.awake import AwakeUsers
from homeserver.services.presence.presence import Presence
from tests.cast import Client, Server


def _presence(server: Server) -> Presence:
    presence = server.application.readers.presence
    assert isinstance(presence, Presence)
    return presence


async def _friends(server: Server) -> tuple[Client, Client, Client]:
    """Alice and Bob share a room; Mallory shares none with them."""
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    return alice, bob, mallory


async def _set(client: Client, presence: str, **body: Any) -> None:
    await client.put(("presence", client.user_id, "status"), {"presence": presence, **body})


async def _get(reader: Client, user: Client) -> Any:
    return await reader.get(("presence", user.user_id, "status"))


def _states(events: Sequence[Any]) -> dict[str, str]:
    return {event["sender"]: event["content"]["presence"] for event in events}


async def test_friends_see_presence_and_strangers_do_not(server: Server) -> None:
    alice, bob, mallory = await _friends(server)
    assert await _get(bob, alice) == {"presence": "offline"}
    await _set(alice, "online", status_msg="coding")
    server.clock.advance(ms=1500)
    expected = {"presence": "online", "status_msg": "coding", "currently_active": True, "last_active_ago": 1500}
    assert await _get(bob, alice) == await _get(alice, alice) == expected
    await mallory.get(("presence", alice.user_id, "status"), expect=(403, "M_FORBIDDEN"))
    await mallory.get(("presence", "@nobody:test", "status"), expect=(403, "M_FORBIDDEN"))


async def test_sync_is_told_of_changes_of_friends(server: Server) -> None:
    alice, bob, mallory = await _friends(server)
    presence = _presence(server)
    since = presence.stream.current
    await _set(alice, "online")
    now = presence.stream.current
    assert _states(await presence.changed(bob.user_id, since, now)) == {alice.user_id: "online"}
    assert _states(await presence.changed(alice.user_id, since, now)) == {alice.user_id: "online"}
    assert await presence.changed(mallory.user_id, since, now) == []
    assert await presence.changed(bob.user_id, now, now) == ()
    assert _states(await presence.everything(bob.user_id)) == {alice.user_id: "online"}
    assert await presence.everything(mallory.user_id) == []
    friends = [alice.user_id, bob.user_id]
    assert _states(await presence.of_users(friends)) == {alice.user_id: "online", bob.user_id: "offline"}
    crowd = [f"@{number}:test" for number in range(100)]
    assert _states(await presence.of_users([*friends, *crowd])) == {alice.user_id: "online"}
    # A token of an earlier process: everything may have changed.
    assert _states(await presence.changed(bob.user_id, 0, now)) == {alice.user_id: "online"}


async def test_a_syncing_device_is_online_until_it_syncs_no_more(server: Server) -> None:
    alice, bob, _ = await _friends(server)
    presence = _presence(server)
    await presence.seen(alice.user_id, alice.device_id, "online")
    told = presence.stream.current
    for _ in range(4):
        server.clock.advance(seconds=30)
        await presence.seen(alice.user_id, alice.device_id, "online")
    assert presence.stream.current == told  # nothing changed, so nobody was woken
    server.clock.advance(seconds=90)
    await presence.expire()
    await presence.tell()
    assert _states(await presence.changed(bob.user_id, told, presence.stream.current)) == {alice.user_id: "offline"}
    assert (await _get(bob, alice))["last_active_ago"] == 90_000


async def test_the_most_present_device_counts(server: Server) -> None:
    alice, bob, _ = await _friends(server)
    presence = _presence(server)
    await presence.seen(alice.user_id, "phone", "unavailable")
    assert (await _get(bob, alice))["presence"] == "unavailable"
    await presence.seen(alice.user_id, "desktop", "online")
    assert (await _get(bob, alice))["presence"] == "online"
    await presence.seen(alice.user_id, "hidden", "offline")
    assert (await _get(bob, alice))["presence"] == "online"
    await _set(alice, "offline")
    assert (await _get(bob, alice))["presence"] == "offline"


async def test_changes_are_told_at_most_once_a_second(server: Server) -> None:
    alice, bob, _ = await _friends(server)
    presence = _presence(server)
    await _set(alice, "online")
    told = presence.stream.current
    for number in range(5):
        await _set(alice, "online", status_msg=f"message {number}")
        await _set(bob, "online", status_msg=f"message {number}")
    assert presence.stream.current == told
    server.clock.advance(seconds=1)
    await presence.tell()
    assert presence.stream.current == told + 2
    events = await presence.changed(bob.user_id, told, presence.stream.current)
    assert {event["content"]["status_msg"] for event in events} == {"message 4"}


async def test_a_status_message_survives_a_restart(server: Server) -> None:
    alice, bob, _ = await _friends(server)
    await _set(alice, "online", status_msg="on holiday")
    before = _presence(server)
    after = Presence(before.queries, before.rows, before.awake, before.announcer, before.clock)
    await after.load()
    (event,) = await after.everything(bob.user_id)
    assert event["content"] == {"presence": "offline", "status_msg": "on holiday"}
    await _set(alice, "online")
    assert "status_msg" not in await _get(bob, alice)


async def test_where_presence_is_switched_off_everybody_is_offline(server: Server) -> None:
    alice, bob, _ = await _friends(server)
    _presence(server).enabled = False
    await _set(alice, "online")
    await _presence(server).seen(alice.user_id, "phone", "online")
    assert await _get(bob, alice) == {"presence": "offline"}


async def test_presence_that_is_refused(server: Server) -> None:
    alice, _, mallory = await _friends(server)
    path = ("presence", alice.user_id, "status")
    await mallory.put(path, {"presence": "offline"}, expect=(403, "M_FORBIDDEN"))
    await alice.put(path, {"presence": "asleep"}, expect=(400, "M_INVALID_PARAM"))
    await alice.put(path, {"presence": 1}, expect=(400, "M_BAD_JSON"))
    await alice.put(path, {}, expect=(400, "M_MISSING_PARAM"))
    await alice.put(path, {"presence": "online", "status_msg": "x" * 257}, expect=(400, "M_INVALID_PARAM"))
    assert await _get(alice, alice) == {"presence": "offline"}


async def test_what_could_not_be_told_while_the_database_was_away_is_told_later(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, _ = await _friends(server)
    presence = _presence(server)
    since = presence.stream.current

    async def away(awake: AwakeUsers, user_ids: object) -> set[str]:
        raise Unavailable("away")

    with monkeypatch.context() as outage:
        outage.setattr(AwakeUsers, "rooms_of", away)
        await alice.put(("presence", alice.user_id, "status"), {"presence": "online"}, expect=503)
    await presence.tell()
    changed = await presence.changed(bob.user_id, since, presence.stream.current)
    assert _states(changed) == {alice.user_id: "online"}
