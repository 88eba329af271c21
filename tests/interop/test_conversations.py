"""Alice and Bob, each with any of three clients, talk encrypted."""

from __future__ import annotations

import base64
import itertools
import secrets

import pytest

from tests.interop.conftest import Cast
from tests.interop.scenes import eventually, meet, say

KINDS = ("nio", "mautrix", "js")
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2))
ORDERED_PAIRS = list(itertools.product(KINDS, KINDS))


@pytest.mark.parametrize("of_alice, of_bob", PAIRS)
async def test_messages_travel_both_ways(cast: Cast, of_alice: str, of_bob: str) -> None:
    alice = await cast("alice", of_alice)
    bob = await cast("bob", of_bob)
    room_id = await meet(alice, bob)

    await say(alice, room_id, "Tea at five?", bob)
    await say(bob, room_id, "I bring cake. 🍰", alice)
    await say(alice, room_id, "Which one?", bob)


@pytest.mark.parametrize("of_alice, of_bob", ORDERED_PAIRS)
async def test_a_file_travels_encrypted(cast: Cast, of_alice: str, of_bob: str) -> None:
    alice = await cast("alice", of_alice)
    bob = await cast("bob", of_bob)
    room_id = await meet(alice, bob)
    recipe = base64.b64encode(secrets.token_bytes(200_000)).decode()

    await alice.ask("send_file", room_id=room_id, name="recipe.bin", data=recipe)

    assert await bob.ask("wait_file", room_id=room_id, name="recipe.bin") == recipe


@pytest.mark.parametrize("of_alice, of_bob", list(itertools.permutations(KINDS, 2)))
async def test_typing_and_receipts_are_seen_by_the_other_side(cast: Cast, of_alice: str, of_bob: str) -> None:
    alice = await cast("alice", of_alice)
    bob = await cast("bob", of_bob)
    room_id = await meet(alice, bob)

    await bob.ask("typing", room_id=room_id, is_typing=True)
    await alice.ask("wait_typing", room_id=room_id, user_id=bob.user_id)
    event_id = await say(alice, room_id, "You were typing?", bob)
    await bob.ask("receipt", room_id=room_id, event_id=event_id)
    await alice.ask("wait_receipt", room_id=room_id, event_id=event_id, user_id=bob.user_id)


async def test_three_clients_share_one_room(cast: Cast) -> None:
    alice = await cast("alice", "nio")
    bob = await cast("bob", "mautrix")
    carol = await cast("carol", "js")
    room_id = await meet(alice, bob, carol)

    await say(alice, room_id, "nio speaking", bob, carol)
    await say(bob, room_id, "mautrix speaking", alice, carol)
    await say(carol, room_id, "js speaking", alice, bob)


@pytest.mark.parametrize("kind, of_bob", [("js", "js"), ("nio", "js"), ("mautrix", "nio"), ("js", "mautrix")])
async def test_a_second_device_gets_the_keys_of_what_comes_after_its_login(cast: Cast, kind: str, of_bob: str) -> None:
    alice = await cast("alice", kind)
    bob = await cast("bob", of_bob)
    room_id = await meet(bob, alice)
    await say(bob, room_id, "only the first device hears this", alice)

    phone = await cast("alice", kind, as_device_of=alice)
    await phone.ask("wait_member", room_id=room_id, user_id=bob.user_id)
    await eventually(bob, "knows_device", user_id=alice.user_id, device_id=phone.device_id)
    await say(bob, room_id, "both devices hear this", alice, phone)
    await phone.ask("logout")
    await say(bob, room_id, "and the first one goes on hearing", alice)
