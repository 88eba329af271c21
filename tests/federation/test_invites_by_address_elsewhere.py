"""Alice at alpha invites an address; its owner turns out to be Bob at beta. Two servers, an identity server, real TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from config.settings import OutgoingHttpSettings
from tests.cast import Client
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
