"""Alice and Bob compare a short code; after that their devices trust each other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.interop.conftest import Cast
from tests.interop.player import Player
from tests.interop.scenes import eventually, meet, say


@pytest.mark.parametrize("of_alice, of_bob", [("nio", "nio"), ("js", "js"), ("js", "nio"), ("nio", "js")])
async def test_two_devices_verify_each_other_by_sas(cast: Cast, of_alice: str, of_bob: str) -> None:
    alice = await cast("alice", of_alice)
    bob = await cast("bob", of_bob)
    room_id = await meet(alice, bob)
    await say(alice, room_id, "Shall we compare codes?", bob)

    await compare_codes(alice, bob)

    assert await alice.ask("is_verified", user_id=bob.user_id, device_id=bob.device_id)
    assert await bob.ask("is_verified", user_id=alice.user_id, device_id=alice.device_id)


@pytest.mark.parametrize("in_room", [False, True], ids=["to the device", "in the room"])
async def test_verification_signs_the_other_users_master_key(cast: Cast, in_room: bool) -> None:
    alice = await cast("alice", "js")
    bob = await cast("bob", "js")
    for player in (alice, bob):
        await player.ask("set_up_cross_signing", password=player.password)
    room_id = await meet(alice, bob)
    await eventually(alice, "has_cross_signing", user_id=bob.user_id)
    assert not await alice.ask("is_user_verified", user_id=bob.user_id)

    await compare_codes(alice, bob, room_id=room_id if in_room else None)

    await eventually(alice, "is_user_verified", user_id=bob.user_id)
    await eventually(bob, "is_user_verified", user_id=alice.user_id)


async def test_a_new_device_gets_the_secrets_of_the_one_that_verifies_it(cast: Cast) -> None:
    """How most people bring a new device in: the two compare emoji, and the old one signs the new one and sends it keys."""
    alice = await cast("alice", "js")
    bob = await cast("bob", "nio")
    await alice.ask("set_up_cross_signing", password=alice.password)
    room_id = await meet(alice, bob)
    before = await say(bob, room_id, "The key is under the mat.", alice)
    await alice.ask("wait_backed_up", count=1)
    phone = await cast("alice", "js", as_device_of=alice)
    assert not await phone.ask("has_secrets")

    await compare_codes(phone, alice)

    await eventually(alice, "is_cross_signed", user_id=alice.user_id, device_id=phone.device_id)
    await eventually(phone, "has_secrets")
    assert await eventually(phone, "can_read", room_id=room_id, event_id=before) == "The key is under the mat."


async def compare_codes(starter: Player, other: Player, room_id: str | None = None) -> None:
    foreign = {"foreign": True} if starter.kind != other.kind else {}
    await asyncio.gather(
        _start(starter, other, room_id, foreign if starter.kind == "nio" else {}),
        other.ask("accept_sas", user_id=starter.user_id, **(foreign if other.kind == "nio" else {})),
    )
    codes = await asyncio.gather(
        starter.ask("sas_code", user_id=other.user_id), other.ask("sas_code", user_id=starter.user_id)
    )
    assert codes[0] == codes[1]
    assert len(codes[0]) == 3
    await asyncio.gather(
        starter.ask("confirm_sas", user_id=other.user_id), other.ask("confirm_sas", user_id=starter.user_id)
    )


async def _start(starter: Player, other: Player, room_id: str | None, foreign: dict[str, Any]) -> None:
    if starter.user_id == other.user_id:
        await starter.ask("start_own_sas")
    elif room_id is not None:
        await starter.ask("start_sas_in_room", user_id=other.user_id, room_id=room_id)
    else:
        await starter.ask("start_sas", user_id=other.user_id, device_id=other.device_id, **foreign)
