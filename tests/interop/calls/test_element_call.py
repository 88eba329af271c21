"""Element Call, as released, in two browsers against our server: nothing else was installed."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.interop.calls.chromium import Chromium
from tests.interop.calls.conftest import Browsers, enter_call
from tests.interop.calls.stand import Account, call_members, make_call_room, register, sticky_call_members
from tests.interop.target import Target
from voice.bot.call import BotCall
from voice.bot.matrix import MatrixClient
from voice.bot.sound import RATE, tone

FRAME = "element-call/index.html"
GONE_SECONDS = 5.0


async def media_of(browser: Chromium) -> dict[str, Any]:
    return dict(await browser.run("voicechatMedia()", FRAME))


async def members(http: aiohttp.ClientSession, account: Account, room_id: str, mode: str) -> set[str]:
    look = call_members if mode == "compatibility" else sticky_call_members
    return await look(http, account, room_id)


async def hears_and_sees(browser: Chromium, seconds: float = 40) -> dict[str, Any]:
    """Decoded sound with energy and decoded pictures: with wrong keys there would be neither."""
    await browser.wait_for(
        "voicechatMedia().then(m => m.audioPackets > 150 && m.audioEnergy > 0.01 && m.videoFrames > 20)", seconds, FRAME
    )
    return await media_of(browser)


@pytest.mark.parametrize("mode", ["compatibility", "matrix_2_0"])
async def test_two_people_hear_and_see_each_other_encrypted_and_a_closed_laptop_is_gone(
    call_server: Target, browsers: Browsers, http: aiohttp.ClientSession, mode: str
) -> None:
    """`compatibility` announces itself by state events, `matrix_2_0` by sticky ones.

    Sticky events of an encrypted room are encrypted, so there the test could not read them; frames are encrypted in both.
    """
    alice = await register(http, call_server.base_url, "alice")
    bob = await register(http, call_server.base_url, "bob")
    room_id = await make_call_room(http, alice, bob, encrypted=mode == "compatibility")
    hers, his = await browsers("alice"), await browsers("bob")
    for browser in (hers, his):
        await browser.before_each_document(f"localStorage.setItem('matrix-setting-matrix-rtc-mode', '\"{mode}\"')")
    await asyncio.gather(enter_call(hers, alice, room_id), enter_call(his, bob, room_id))

    heard = await asyncio.gather(hears_and_sees(hers), hears_and_sees(his))
    assert all(media["audioLost"] == 0 for media in heard), heard
    assert await members(http, bob, room_id, mode) == {alice.user_id, bob.user_id}

    if shots := os.environ.get("VOICECHAT_TEST_SCREENSHOTS"):
        await his.screenshot(Path(shots) / "element-call.png")

    hers.kill()
    closed = time.monotonic()
    while await members(http, bob, room_id, mode) != {bob.user_id}:
        assert time.monotonic() - closed < GONE_SECONDS, "Alice is a ghost"
        await asyncio.sleep(0.1)
    await his.wait_for("voicechatMedia().then(m => m.tracks === 0)", GONE_SECONDS, FRAME)


def rhythm_ms(samples: bytes) -> int:
    """After how many ms the loudness repeats itself best, between 150 and 800.

    Of the pretended microphone's beeps (400 Hz, 20 ms long) the browser's own processing leaves little but their rhythm.
    """
    # The first second is the browser's: it learns what is noise.
    signal = np.frombuffer(samples, dtype=np.int16).astype(float)[RATE:]
    piece = RATE // 100
    loudness = np.sqrt((signal[: len(signal) // piece * piece].reshape(-1, piece) ** 2).mean(axis=1))
    loudness = np.minimum(loudness, 120)
    loudness -= loudness.mean()
    return 10 * max(range(15, 80), key=lambda lag: float((loudness[lag:] * loudness[:-lag]).mean()))


async def test_an_sdk_participant_and_element_call_hear_each_other_encrypted(
    call_server: Target, browsers: Browsers, http: aiohttp.ClientSession
) -> None:
    alice = await register(http, call_server.base_url, "alice")
    bob = await register(http, call_server.base_url, "bob")
    room_id = await make_call_room(http, alice, bob)
    browser = await browsers("alice")
    # Otherwise the browser takes its own beep for noise.
    await enter_call(browser, alice, room_id, noiseSuppression="false", echoCancellation="false")

    heard = bytearray()
    client = MatrixClient(http, call_server.base_url)
    await client.login(bob.localpart, bob.password)
    call = BotCall(client, room_id, encrypted=True, heard=lambda _, samples: heard.extend(samples))
    await call.enter()
    playing = asyncio.create_task(call.play(tone(997, 60)))
    try:
        await browser.wait_for("voicechatMedia().then(m => m.audioPackets > 150 && m.audioEnergy > 0.1)", 40, FRAME)
        assert (await media_of(browser))["audioLost"] == 0
        async with asyncio.timeout(30):
            while np.abs(np.frombuffer(bytes(heard), dtype=np.int16)).max(initial=0) < 30:
                heard.clear()
                await asyncio.sleep(0.2)
            while len(heard) < 8 * 2 * RATE:
                await asyncio.sleep(0.2)
        assert await call_members(http, bob, room_id) == {alice.user_id, bob.user_id}
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await call.leave()
    assert await call_members(http, alice, room_id) == {alice.user_id}
    assert abs(rhythm_ms(bytes(heard)) - 500) <= 20, "the beep of Chromium comes twice a second"
