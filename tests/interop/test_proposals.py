"""What clients use before it is in the specification, by matrix-js-sdk: sliding sync, delayed events, QR codes."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import Cast
from tests.interop.player import ClientError
from tests.interop.scenes import eventually, meet, say

SOON_MS, LATE_MS = 500, 3_600_000


async def test_an_encrypted_conversation_by_sliding_sync(cast: Cast) -> None:
    alice, bob = await cast("alice", "sliding"), await cast("bob", "js")
    room_id = await meet(alice, bob)
    await say(alice, room_id, "Do you hear me?", bob)
    said = await say(bob, room_id, "Loud and clear.", alice)
    await bob.ask("typing", room_id=room_id, is_typing=True)
    await alice.ask("wait_typing", room_id=room_id, user_id=bob.user_id)
    await alice.ask("receipt", room_id=room_id, event_id=said)
    await bob.ask("wait_receipt", room_id=room_id, event_id=said, user_id=alice.user_id)


async def test_an_invitation_comes_by_sliding_sync(cast: Cast) -> None:
    alice, bob = await cast("alice", "js"), await cast("bob", "sliding")
    first = await meet(alice, bob)
    await say(alice, first, "The first of two rooms", bob)
    second = await meet(alice, bob)
    await say(alice, second, "And the other", bob)
    await say(bob, first, "Back in the first", alice)
    tablet = await cast("bob", "sliding", as_device_of=bob)
    for room_id in (first, second):
        await tablet.ask("wait_member", room_id=room_id, user_id=alice.user_id)
    await say(alice, second, "For the new tablet, too", tablet)


async def test_delayed_events_are_sent_early_late_or_never(cast: Cast) -> None:
    alice, bob = await cast("alice", "js"), await cast("bob", "js")
    room_id = await meet(alice, bob, encrypted=False)
    await alice.ask("send_delayed", room_id=room_id, body="after a while", delay_ms=SOON_MS)
    await bob.ask("wait_message", room_id=room_id, body="after a while")
    early, never = [
        await alice.ask("send_delayed", room_id=room_id, body=body, delay_ms=LATE_MS) for body in ("early", "never")
    ]
    assert set(await alice.ask("delayed")) == {early, never}
    await alice.ask("manage_delayed", delay_id=never, action="Restart")
    await alice.ask("manage_delayed", delay_id=never, action="Cancel")
    await alice.ask("manage_delayed", delay_id=early, action="Send")
    await bob.ask("wait_message", room_id=room_id, body="early")
    assert await alice.ask("delayed") == []
    with pytest.raises(ClientError, match="404"):
        await alice.ask("manage_delayed", delay_id="nobody-knows-it", action="Send")


async def test_two_devices_meet_by_a_qr_code(cast: Cast) -> None:
    laptop, phone = await cast("alice", "js"), await cast("alice-on-the-way", "js")
    await phone.ask("qr_scan", code=await laptop.ask("qr_show"))
    codes = await asyncio.gather(laptop.ask("qr_connect"), phone.ask("qr_connect"))
    assert codes[0] == codes[1]
    assert len(codes[0]) == 2
    told = {"type": "m.login.protocols", "protocols": ["device_authorization_grant"], "homeserver": "interop.test"}
    heard = asyncio.create_task(phone.ask("qr_hear"))
    await laptop.ask("qr_tell", payload=told)
    assert await heard == told
    heard = asyncio.create_task(laptop.ask("qr_hear"))
    await phone.ask("qr_tell", payload={"type": "m.login.success"})
    assert await heard == {"type": "m.login.success"}
    await laptop.ask("qr_close")


async def test_rooms_beyond_the_window_come_when_somebody_speaks(cast: Cast) -> None:
    alice, bob = await cast("alice", "sliding"), await cast("bob", "js")
    room_ids = [await bob.ask("create_room", name=f"Room {number}", invite=[], encrypted=False) for number in range(25)]
    for room_id in room_ids:
        await bob.ask("invite", room_id=room_id, user_id=alice.user_id)
        await alice.ask("join", room_id=room_id)
    phone = await cast("alice", "sliding", as_device_of=alice)
    assert len(await eventually(phone, "room_list")) >= 20
    await bob.ask("send", room_id=room_ids[0], body="Who comes last to this?")
    await phone.ask("wait_message", room_id=room_ids[0], body="Who comes last to this?")
