"""Alice and Bob compare a short code; after that their devices trust each other."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import Cast
from tests.interop.player import Player
from tests.interop.scenes import eventually, meet, say


@pytest.mark.parametrize("of_alice, of_bob", [("nio", "nio"), ("js", "js"), ("js", "nio")])
async def test_two_devices_verify_each_other_by_sas(cast: Cast, of_alice: str, of_bob: str) -> None:
    alice = await cast("alice", of_alice)
    bob = await cast("bob", of_bob)
    room_id = await meet(alice, bob)
    await say(alice, room_id, "Shall we compare codes?", bob)

    await compare_codes(alice, bob)

    assert await alice.ask("is_verified", user_id=bob.user_id, device_id=bob.device_id)
    assert await bob.ask("is_verified", user_id=alice.user_id, device_id=alice.device_id)


async def test_verification_signs_the_other_users_master_key(cast: Cast) -> None:
    alice = await cast("alice", "js")
    bob = await cast("bob", "js")
    for player in (alice, bob):
        await player.ask("set_up_cross_signing", password=player.password)
    await meet(alice, bob)
    assert not await alice.ask("is_user_verified", user_id=bob.user_id)

    await compare_codes(alice, bob)

    await eventually(alice, "is_user_verified", user_id=bob.user_id)
    await eventually(bob, "is_user_verified", user_id=alice.user_id)


async def compare_codes(starter: Player, other: Player) -> None:
    foreign = {"foreign": True} if (starter.kind, other.kind) == ("js", "nio") else {}
    await asyncio.gather(
        starter.ask("start_sas", user_id=other.user_id, device_id=other.device_id),
        other.ask("accept_sas", user_id=starter.user_id, **foreign),
    )
    codes = await asyncio.gather(
        starter.ask("sas_code", user_id=other.user_id), other.ask("sas_code", user_id=starter.user_id)
    )
    assert codes[0] == codes[1]
    assert len(codes[0]) == 3
    await asyncio.gather(
        starter.ask("confirm_sas", user_id=other.user_id), other.ask("confirm_sas", user_id=starter.user_id)
    )
