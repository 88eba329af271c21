"""Alice says whose invitations she wants: the others are refused, or stay unseen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cast import Client, Server

BLOCKED = (403, "M_INVITE_BLOCKED")
PERMISSION = "m.invite_permission_config"
FILTER = "org.matrix.msc4155.invite_permission_config"
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"


async def wants(client: Client, content: dict[str, Any], event_type: str = FILTER) -> None:
    await client.put(("user", client.user_id, "account_data", event_type), content)


async def invites_seen(client: Client) -> set[str]:
    """In both kinds of sync, which have to agree."""
    first = await client.sync(since=None)
    seen = set(first.get("rooms", {}).get("invite", {}))
    wish = {"ranges": [[0, 99]], "required_state": [], "timeline_limit": 1}
    sliding = await client.post(SLIDING, {"lists": {"all": wish}})
    assert {room_id for room_id, room in sliding["rooms"].items() if "invite_state" in room} == seen
    return seen


@pytest.mark.parametrize(
    ("event_type", "content"),
    [
        (PERMISSION, {"default_action": "block"}),
        ("org.matrix.msc4380.invite_permission_config", {"default_action": "block"}),
        (FILTER, {"blocked_users": ["@mallory:test"]}),
        (FILTER, {"blocked_servers": ["t*t"]}),
    ],
)
async def test_mallory_is_refused_on_every_way(server: Server, event_type: str, content: dict[str, Any]) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await mallory.create_room()
    await wants(alice, content, event_type)
    await mallory.invite(room_id, alice, expect=BLOCKED)
    await mallory.post("createRoom", {"invite": [alice.user_id]}, expect=BLOCKED)
    member = ("rooms", room_id, "state", "m.room.member", alice.user_id)
    await mallory.put(member, {"membership": "invite"}, expect=BLOCKED)
    # Nothing happened, and Mallory is told so at once.
    await mallory.get(member, expect=(404, "M_NOT_FOUND"))
    await wants(alice, {}, event_type)
    await mallory.invite(room_id, alice)
    assert await invites_seen(alice) == {room_id}


async def test_others_may_still_invite(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    await wants(alice, {"allowed_users": [bob.user_id], "blocked_servers": ["*"]})
    await mallory.invite(await mallory.create_room(), alice, expect=BLOCKED)
    room_id = await bob.create_room(invite=[alice.user_id])
    assert await invites_seen(alice) == {room_id}
    await alice.join(room_id)


async def test_an_ignored_invitation_is_made_and_not_seen(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await wants(alice, {"ignored_users": [mallory.user_id]})
    await alice.sync()
    room_id = await mallory.create_room(invite=[alice.user_id])
    assert (await mallory.state(room_id, "m.room.member", alice.user_id))["membership"] == "invite"
    assert "invite" not in (await alice.sync()).get("rooms", {})
    assert await invites_seen(alice) == set()
    # It can be accepted by who knows of it; and is there again when Alice changes her mind.
    await wants(alice, {})
    assert await invites_seen(alice) == {room_id}
    await alice.join(room_id)


async def test_what_was_there_before_is_not_seen_either(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await mallory.create_room(invite=[alice.user_id])
    assert await invites_seen(alice) == {room_id}
    await wants(alice, {"default_action": "block"}, PERMISSION)
    assert await invites_seen(alice) == set()
    # "Other endpoints are not affected".
    assert (await mallory.state(room_id, "m.room.member", alice.user_id))["membership"] == "invite"
    await alice.delete(f"/_matrix/client/unstable/org.matrix.msc3391/user/{alice.user_id}/account_data/{PERMISSION}")
    assert await invites_seen(alice) == {room_id}


async def test_a_waiting_sync_is_not_woken_with_it(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await wants(alice, {"ignored_servers": ["test"]})
    await alice.sync()
    poll = asyncio.create_task(alice.sync(timeout=1000))
    await mallory.create_room(invite=[alice.user_id])
    await asyncio.sleep(0)
    while not poll.done():
        server.clock.advance(seconds=1)
        await asyncio.sleep(0.01)
    assert "invite" not in (await poll).get("rooms", {})


async def test_the_filter_is_read_once(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await wants(alice, {"ignored_users": [mallory.user_id]})
    await mallory.create_room(invite=[alice.user_id])
    await invites_seen(alice)
    before = server.application.base.database.statements
    await alice.sync(since=None)
    with_filter = server.application.base.database.statements - before
    await wants(alice, {})
    await alice.sync(since=None)
    before = server.application.base.database.statements
    await alice.sync(since=None)
    assert with_filter <= server.application.base.database.statements - before


async def test_clients_are_told(server: Server) -> None:
    alice = await server.register("alice")
    flags = (await alice.get("/_matrix/client/versions"))["unstable_features"]
    assert {"org.matrix.msc4155", "org.matrix.msc4380", "org.matrix.msc4380.stable"} <= set(flags)
    capability = "org.matrix.msc4155.invite_permission_config_enforced"
    assert (await alice.get("capabilities"))["capabilities"][capability] == {"enabled": True}
