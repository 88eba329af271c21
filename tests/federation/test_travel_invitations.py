"""Invitations, knocks and their ends, between alpha and beta."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.cast import Client, SyncAnswer
from tests.federation.conftest import ALPHA, Home
from tests.federation.foreign_servers import V2, ForeignServer
from tests.federation.peers import Asked, Peer


async def people(alpha: Home, beta: Home) -> tuple[Client, Client]:
    return await alpha.server.register("alice"), await beta.server.register("bob")


def stripped(sync: Any, room_id: str, kind: str = "invite") -> dict[tuple[str, str], Any]:
    events = sync.room(room_id, kind).get(f"{kind}_state", {}).get("events", [])
    return {(event["type"], event["state_key"]): event["content"] for event in events}


def memberships(sync: SyncAnswer, room_id: str, user_id: str) -> list[str]:
    """What a sync tells of a user, in the room's timeline."""
    events = sync.timeline(room_id)
    return [event["content"]["membership"] for event in events if event.get("state_key") == user_id]


@pytest.mark.parametrize("version", list(ROOM_VERSIONS))
async def test_bob_is_invited_and_comes(alpha: Home, beta: Home, version: str) -> None:
    alice, bob = await people(alpha, beta)
    room_id = await alice.create_room(name="hall", room_version=version)
    await bob.sync()
    await alice.invite(room_id, bob)
    state = stripped(await bob.sync(), room_id)
    assert state["m.room.name", ""] == {"name": "hall"}
    assert state["m.room.create", ""]
    assert state["m.room.member", bob.user_id]["membership"] == "invite"
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "invite"
    # Nobody is named: who has invited him knows the way.
    await bob.post(("rooms", room_id, "join"))
    synced = await bob.sync()
    assert synced.room(room_id)
    assert not synced.room(room_id, "invite")
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "join"


async def test_bob_declines(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    assert (await bob.sync()).room(room_id, "invite")
    await bob.post(("rooms", room_id, "leave"), {"reason": "busy"})
    synced = await bob.sync()
    assert not synced.room(room_id, "invite")
    told = await alice.state(room_id, "m.room.member", bob.user_id)
    assert (told["membership"], told["reason"]) == ("leave", "busy")
    assert not (await bob.sync(since=None)).room(room_id, "invite")


async def test_bob_declines_though_nobody_answers(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    assert (await bob.sync()).room(room_id, "invite")
    alpha.server.application.base.cache.retire(await alpha.server.application.base.cache.get(room_id))
    beta.server.application.federation.client.pauses.failed(ALPHA)
    await bob.leave(room_id)
    assert not (await bob.sync(since=None)).room(room_id, "invite")
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "invite"


async def test_a_new_room_invites_from_everywhere(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    carol = await alpha.server.register("carol")
    invite = [bob.user_id, carol.user_id, "@nobody:nobody.example"]
    room_id = await alice.create_room(preset="trusted_private_chat", invite=invite, is_direct=True)
    assert stripped(await bob.sync(), room_id)["m.room.member", bob.user_id]["is_direct"] is True
    assert (await carol.sync()).room(room_id, "invite")
    await alice.state(room_id, "m.room.member", "@nobody:nobody.example", expect=404)


async def test_who_cannot_be_invited(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    room_id = await alice.create_room()
    await alice.invite(room_id, "@nobody:beta.example", expect=(403, "M_FORBIDDEN"))
    await alice.invite(room_id, "@nobody:nobody.example", expect=502)
    config = "org.matrix.msc4155.invite_permission_config"
    for name in (config, "m.invite_permission_config"):
        await bob.put(("user", bob.user_id, "account_data", name), {"default_action": "block"})
    await alice.invite(room_id, bob, expect=(403, "M_INVITE_BLOCKED"))
    ours = await alice.create_room(creation_content={"m.federate": False})
    await alice.invite(ours, bob, expect=(403, "M_FORBIDDEN"))
    await alice.post("createRoom", {"creation_content": {"m.federate": False}, "invite": [bob.user_id]}, expect=403)


@pytest.mark.parametrize("version", ["7", "10", "12"])
async def test_bob_knocks_and_is_let_in(alpha: Home, beta: Home, version: str) -> None:
    alice, bob = await people(alpha, beta)
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(room_version=version, name="hall", initial_state=[rules])
    await bob.sync()
    assert await bob.post(("knock", room_id), {"reason": "please"}, via=[ALPHA]) == {"room_id": room_id}
    state = stripped(await bob.sync(), room_id, "knock")
    assert state["m.room.name", ""] == {"name": "hall"}
    assert state["m.room.member", bob.user_id]["membership"] == "knock"
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["reason"] == "please"
    await alice.invite(room_id, bob)
    await bob.post(("rooms", room_id, "join"))
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "join"


async def test_bob_takes_his_knock_back(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(initial_state=[rules])
    await bob.post(("knock", room_id), via=[ALPHA])
    await bob.leave(room_id)
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "leave"
    assert not (await bob.sync(since=None)).room(room_id, "knock")
    closed = await alice.create_room()
    await bob.post(("knock", closed), via=[ALPHA], expect=(403, "M_FORBIDDEN"))


async def test_who_deactivates_his_account_declines(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    await bob.post("account/deactivate", {"auth": bob.password_auth()})
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "leave"


async def test_carol_is_invited_to_a_room_where_her_server_is(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    carol = await beta.server.register("carol")
    room_id = await alice.create_room(preset="public_chat")
    await bob.post(("join", room_id), via=[ALPHA])
    await carol.sync()
    await alice.invite(room_id, carol)
    synced = await carol.sync_until(lambda sync: sync.room(room_id, "invite"))
    assert stripped(synced, room_id)["m.room.create", ""]
    await carol.post(("rooms", room_id, "join"))
    await alice.sync_until(lambda sync: "join" in memberships(sync, room_id, carol.user_id))
    assert (await alice.state(room_id, "m.room.member", carol.user_id))["membership"] == "join"


async def test_an_invitation_is_taken_back(alpha: Home, beta: Home) -> None:
    alice, bob = await people(alpha, beta)
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    assert (await bob.sync()).room(room_id, "invite")
    await alice.kick(room_id, bob)
    await bob.sync_until(lambda sync: sync.room(room_id, "leave"))
    assert not (await bob.sync(since=None)).room(room_id, "invite")


async def test_an_invitation_that_comes_back_as_no_event_is_none(alpha: Home, peer: Peer) -> None:
    bobs = ForeignServer(peer)

    def with_a_float(asked: Asked) -> Any:
        return {"event": {**asked.body["event"], "more": 1.1}}

    peer.serves("PUT", f"{V2}/invite/{{room_id}}/{{event_id}}", with_a_float)
    alice = await alpha.server.register("alice")
    room_id = await alice.create_room()
    await alice.invite(room_id, f"@bob:{bobs.name}", expect=(400, "M_BAD_JSON"))
    await alice.state(room_id, "m.room.member", f"@bob:{bobs.name}", expect=404)
