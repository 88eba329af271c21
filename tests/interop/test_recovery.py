"""Alice loses nothing: cross-signing, secret storage and key backup carry her to a new device."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Cast
from tests.interop.scenes import eventually, meet, say


@pytest.mark.parametrize("kind", ["js", "mautrix"])
@pytest.mark.parametrize("watcher", ["js", "mautrix"])
async def test_a_new_device_signs_itself_with_the_recovery_key(cast: Cast, kind: str, watcher: str) -> None:
    alice = await cast("alice", kind)
    bob = await cast("bob", watcher)
    keys = await alice.ask("set_up_cross_signing", password=alice.password)
    await meet(alice, bob)
    assert await bob.ask("master_key", user_id=alice.user_id) == keys["master_key"]
    await eventually(bob, "is_cross_signed", user_id=alice.user_id, device_id=alice.device_id)

    phone = await cast("alice", kind, as_device_of=alice)
    assert not await bob.ask("is_cross_signed", user_id=alice.user_id, device_id=phone.device_id)
    await phone.ask("sign_in_with_recovery_key", recovery_key=keys["recovery_key"])

    await eventually(bob, "is_cross_signed", user_id=alice.user_id, device_id=phone.device_id)
    assert await phone.ask("master_key", user_id=alice.user_id) == keys["master_key"]


@pytest.mark.parametrize("kind_of_new_device", ["js", "mautrix"])
async def test_a_fresh_device_reads_old_messages_from_the_key_backup(cast: Cast, kind_of_new_device: str) -> None:
    alice = await cast("alice", "js")
    bob = await cast("bob", "nio")
    keys = await alice.ask("set_up_cross_signing", password=alice.password)
    room_id = await meet(alice, bob)
    asked = await say(alice, room_id, "Where did you hide the key?", bob)
    answered = await say(bob, room_id, "Under the mat.", alice)
    await alice.ask("wait_backed_up", count=2)
    await alice.ask("logout")

    phone = await cast("alice", kind_of_new_device, as_device_of=alice)
    restored = await phone.ask("restore_backup", recovery_key=keys["recovery_key"])

    assert restored["imported"] == restored["total"] == 2
    assert await phone.ask("read_history", room_id=room_id, event_id=asked) == "Where did you hide the key?"
    assert await phone.ask("read_history", room_id=room_id, event_id=answered) == "Under the mat."
