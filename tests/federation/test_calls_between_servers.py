"""Calls across two of our servers, each with an SFU of its own, with LiveKit's own SDK."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.cast import Client, Server
from tests.federation.calling import announce, announced, calling_home, eventually, in_call, roster, seated
from tests.federation.conftest import ALPHA, BETA, World
from tests.voice.calls.telephone import Caller, heard, humming, until
from voice import tokens

AT_ONCE_S = 1.0


@pytest.fixture
async def alpha_calls(world: World) -> AsyncIterator[Server]:
    async with calling_home(ALPHA, 1, world) as server:
        yield server


@pytest.fixture
async def beta_calls(world: World) -> AsyncIterator[Server]:
    async with calling_home(BETA, 2, world) as server:
        yield server


async def meet(home: Server, away: Server) -> tuple[Client, Client, str]:
    """Alice made the room at `home`, and Bob came in over federation."""
    alice, bob = await home.register("alice"), await away.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.post(("join", room_id), via=[home.server_name])
    return alice, bob, room_id


def name_of(client: Client) -> str:
    """At the SFU, with a token of the generation of state events."""
    return tokens.plain_identity(client.user_id, client.device_id)


async def hears(listener: Caller, talker: Caller, identity: str, hertz: int) -> None:
    """Sound with a tone in it: with a wrong key there would be none."""
    async with humming(talker, hertz):
        await until(lambda: f"{identity} audio" in listener.tracks, f"the track of {identity}")
        loudest, share = await heard(listener.tracks[f"{identity} audio"], 0.3)
    assert loudest == pytest.approx(hertz, abs=20)
    assert share > 0.8


async def kicked(admin: Client, room_id: str, client: Client, caller: Caller) -> float:
    """How many seconds after the admin's request he was out."""
    began = time.monotonic()
    await admin.kick(room_id, client)
    await until(lambda: "disconnected" in caller.seen, "the end of the call")
    return time.monotonic() - began


async def test_bob_of_beta_speaks_at_the_sfu_of_alpha_until_he_is_kicked(
    alpha_calls: Server, beta_calls: Server
) -> None:
    """The generation of state events with one SFU for all, that of the oldest membership."""
    alice, bob, room_id = await meet(alpha_calls, beta_calls)
    await announce(alice, room_id, alpha_calls, "oldest_membership")
    async with in_call(alpha_calls, alice, room_id) as hers, in_call(alpha_calls, bob, room_id) as his:
        await announce(bob, room_id, alpha_calls, "oldest_membership")
        await hears(his, hers, name_of(alice), 660)
        await hears(hers, his, name_of(bob), 997)

        both = {alice.user_id, bob.user_id}
        for client in (alice, bob):
            await eventually(announced, client, room_id, both)
        async with humming(his):
            await until(lambda: f"{name_of(bob)} audio" in hers.tracks)
            assert (await roster(alice, room_id))[bob.user_id]["microphone"] == "on"

        assert await kicked(alice, room_id, bob, his) < AT_ONCE_S
        await eventually(seated, alice, room_id, {alice.user_id})


async def test_everybody_publishes_at_home_and_a_kick_from_the_other_server_puts_out_at_once(
    alpha_calls: Server, beta_calls: Server
) -> None:
    """MSC4195 with several SFUs: one's own to speak at, and those of the others to listen at."""
    alice, bob, room_id = await meet(alpha_calls, beta_calls)
    async with in_call(alpha_calls, alice, room_id) as hers, in_call(beta_calls, bob, room_id) as his:
        await announce(alice, room_id, alpha_calls)
        await announce(bob, room_id, beta_calls)
        async with (
            in_call(beta_calls, alice, room_id, "m-alice") as alices_ears,
            in_call(alpha_calls, bob, room_id, "m-bob") as bobs_ears,
        ):
            await hears(bobs_ears, hers, name_of(alice), 660)
            await hears(alices_ears, his, name_of(bob), 997)
            both = {alice.user_id, bob.user_id}
            for client in (alice, bob):
                await eventually(announced, client, room_id, both)
                await eventually(seated, client, room_id, both)

            # Alice's server rules the room, Bob's the SFU at which he is.
            assert await kicked(alice, room_id, bob, his) < AT_ONCE_S
            await until(lambda: "disconnected" in bobs_ears.seen, "the end of Bob's listening")
            await eventually(seated, alice, room_id, {alice.user_id})
