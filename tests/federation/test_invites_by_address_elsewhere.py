"""Alice at alpha invites an address; its owner turns out to be Bob at beta. Two servers, an identity server, real TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from config.settings import OutgoingHttpSettings
from tests.cast import Client, SyncAnswer
from tests.federation.conftest import ALPHA, BETA, Home, World, running_home
from tests.identity_server import TOKEN, IdentityServer, identity_server

BOB = "bob@example.org"
ANY_ADDRESS = OutgoingHttpSettings(verify_tls=False, ip_denylist=())


@pytest.fixture
async def ids(world: World) -> AsyncIterator[IdentityServer]:
    async with identity_server(world.authority.context("127.0.0.1")) as ids:
        yield ids


@pytest.fixture
async def alpha(world: World) -> AsyncIterator[Home]:
    async with running_home(ALPHA, 1, world, outgoing_http=ANY_ADDRESS) as home:
        yield home


@pytest.fixture
async def beta(world: World) -> AsyncIterator[Home]:
    async with running_home(BETA, 2, world, outgoing_http=ANY_ADDRESS) as home:
        yield home


async def invite(alice: Client, room_id: str, ids: IdentityServer) -> None:
    body = {"id_server": ids.name, "id_access_token": TOKEN, "medium": "email", "address": BOB}
    await alice.post(("rooms", room_id, "invite"), body)


def types(sync: SyncAnswer, room_id: str) -> set[str]:
    return {event["type"] for event in sync.timeline(room_id)}


async def test_bob_is_invited_when_he_proves_his_address(alpha: Home, beta: Home, ids: IdentityServer) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(name="The room")
    await invite(alice, room_id, ids)
    await ids.tell(beta.server.anonymous(), "email", BOB, bob.user_id)
    invited = (await bob.sync())["rooms"]["invite"][room_id]["invite_state"]["events"]
    assert alice.user_id in {event.get("state_key") for event in invited}
    # Alpha has asked whether the key is valid still; beta cannot, and need not.
    assert ids.asked.count("/pubkey/isvalid") == 1
    await bob.join(room_id)
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "join"


async def test_a_server_in_the_room_tells_alice_that_it_has_found_bob(
    alpha: Home, beta: Home, ids: IdentityServer
) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    carol = await beta.server.register("carol")
    room_id = await alice.create_room(preset="public_chat")
    await carol.post(("join", room_id), {}, via=ALPHA)
    await carol.sync()
    await invite(alice, room_id, ids)
    await carol.sync_until(lambda sync: "m.room.third_party_invite" in types(sync, room_id))
    await alice.sync()
    await ids.tell(beta.server.anonymous(), "email", BOB, bob.user_id)
    # Beta has made the event, with Alice as its sender: she hears of it from there.
    heard = await alice.sync_until(lambda sync: "m.room.member" in types(sync, room_id))
    (event,) = [each for each in heard.timeline(room_id) if each["type"] == "m.room.member"]
    assert (event["sender"], event["state_key"]) == (alice.user_id, bob.user_id)
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["membership"] == "invite"


async def test_bob_is_found_and_invited_over_federation(alpha: Home, beta: Home, ids: IdentityServer) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    ids.bind("email", BOB, bob.user_id)
    room_id = await alice.create_room()
    await invite(alice, room_id, ids)
    assert room_id in (await bob.sync())["rooms"]["invite"]


async def test_a_key_that_was_taken_back_brings_nobody_in(alpha: Home, beta: Home, ids: IdentityServer) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room()
    await invite(alice, room_id, ids)
    news = ids.news_of("email", BOB, bob.user_id)
    ids.rotate_keys()
    await beta.server.anonymous().put("/_matrix/federation/v1/3pid/onbind", news, expect=403)
    assert room_id not in (await bob.sync()).get("rooms", {}).get("invite", {})
