"""Element Call, as released, in two browsers against our server: nothing else was installed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from tests.interop.calls.chromium import Chromium
from tests.interop.calls.conftest import Browsers, enter_call
from tests.interop.calls.stand import call_members, make_call_room, register
from tests.interop.target import Target

FRAME = "element-call/index.html"
GONE_SECONDS = 5.0


async def media_of(browser: Chromium) -> dict[str, Any]:
    return dict(await browser.run("voicechatMedia()", FRAME))


async def hears_and_sees(browser: Chromium, seconds: float = 40) -> dict[str, Any]:
    """Decoded sound with energy and decoded pictures: with wrong keys there would be neither."""
    await browser.wait_for(
        "voicechatMedia().then(m => m.audioPackets > 150 && m.audioEnergy > 0.01 && m.videoFrames > 20)", seconds, FRAME
    )
    return await media_of(browser)


async def test_two_people_hear_and_see_each_other_encrypted_and_a_closed_laptop_is_gone(
    call_server: Target, browsers: Browsers, http: aiohttp.ClientSession
) -> None:
    alice = await register(http, call_server.base_url, "alice")
    bob = await register(http, call_server.base_url, "bob")
    room_id = await make_call_room(http, alice, bob)
    hers, his = await browsers("alice"), await browsers("bob")
    await asyncio.gather(enter_call(hers, alice, room_id), enter_call(his, bob, room_id))

    heard = await asyncio.gather(hears_and_sees(hers), hears_and_sees(his))
    assert all(media["audioLost"] == 0 for media in heard), heard
    assert await call_members(http, bob, room_id) == {alice.user_id, bob.user_id}

    hers.kill()
    closed = time.monotonic()
    while await call_members(http, bob, room_id) != {bob.user_id}:
        assert time.monotonic() - closed < GONE_SECONDS, "Alice is a ghost"
        await asyncio.sleep(0.1)
    await his.wait_for("voicechatMedia().then(m => m.tracks === 0)", GONE_SECONDS, FRAME)
