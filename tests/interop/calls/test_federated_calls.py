"""A call across two of our servers: Element Call, as released, at both, each of which has an SFU of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import numpy as np
import pytest

from tests.interop.calls.chromium import Chromium
from tests.interop.calls.conftest import Browsers, enter_call
from tests.interop.calls.stand import Account, call_members, sticky_call_members
from tests.interop.calls.two_servers import Meeting, Servers, kick, meet, roster, two_servers
from tests.interop.environments import Unavailable
from voice.bot.call import BotCall
from voice.bot.matrix import MatrixClient
from voice.bot.sound import tone

FRAME = "element-call/index.html"
OUT_SECONDS = 1.0
GONE_SECONDS = 5.0
MODES = pytest.mark.parametrize("mode", ["compatibility", "matrix_2_0"])
"""By state events, and by sticky ones; in both everybody publishes at the SFU of his own server."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    try:
        with two_servers(tmp_path_factory.mktemp("two-servers")) as servers:
            yield servers
            complaints = servers.alpha.complaints() + servers.beta.complaints()
    except Unavailable as error:
        pytest.skip(str(error))
    assert complaints == []


async def hears_and_sees(browser: Chromium) -> None:
    """Decoded sound with energy and decoded pictures: with wrong keys there would be neither."""
    await browser.wait_for(
        "voicechatMedia().then(m => m.audioPackets > 150 && m.audioEnergy > 0.01 && m.videoFrames > 20)", 60, FRAME
    )


async def in_call(http: aiohttp.ClientSession, watcher: Account, room_id: str, mode: str) -> set[str]:
    """Who is in the call by the memberships that the watcher's server has."""
    look = call_members if mode == "compatibility" else sticky_call_members
    return await look(http, watcher, room_id)


async def all_see(
    http: aiohttp.ClientSession, meeting: Meeting, mode: str, who: set[str], beta: set[str], seconds: float
) -> None:
    """Memberships at both servers and the roster of alpha say `who`; that of beta says who is at its SFU."""
    deadline = time.monotonic() + seconds
    while True:
        seen = [await in_call(http, each, meeting.room_id, mode) for each in meeting.watchers]
        seen += [await roster(http, each, meeting.room_id) for each in meeting.watchers]
        if seen == [who, who, who, beta]:
            return
        assert time.monotonic() < deadline, f"{seen}, not {who} and {beta}"
        await asyncio.sleep(0.05)


async def kicked(http: aiohttp.ClientSession, meeting: Meeting, admin: Account, user_id: str) -> list[float]:
    """How many seconds after the request he was out of the SFU of alpha, and out of that of beta."""
    began = time.monotonic()

    async def out_of(watcher: Account) -> float:
        async with asyncio.timeout(10 * OUT_SECONDS):
            while user_id in await roster(http, watcher, meeting.room_id):
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    waiting = [asyncio.create_task(out_of(each)) for each in meeting.watchers]
    await kick(http, admin, meeting.room_id, user_id)
    return list(await asyncio.gather(*waiting))


async def talk(browsers: Browsers, meeting: Meeting, mode: str) -> tuple[Chromium, Chromium]:
    """Alice's browser and Bob's, which hear and see each other."""
    hers, his = await browsers("alice"), await browsers("bob")
    for browser in (hers, his):
        await browser.before_each_document(f"localStorage.setItem('matrix-setting-matrix-rtc-mode', '\"{mode}\"')")
    await enter_call(hers, meeting.alice, meeting.room_id)
    await enter_call(his, meeting.bob, meeting.room_id)
    await asyncio.gather(hears_and_sees(hers), hears_and_sees(his))
    return hers, his


@MODES
async def test_bob_of_beta_talks_with_alice_of_alpha_until_an_admin_of_hers_kicks_him(
    servers: Servers, browsers: Browsers, http: aiohttp.ClientSession, mode: str
) -> None:
    meeting = await meet(http, servers, encrypted=mode == "compatibility")
    await all_see(http, meeting, mode, set(), set(), 1)
    hers, _ = await talk(browsers, meeting, mode)
    await all_see(http, meeting, mode, meeting.both, meeting.both, 5)

    assert max(await kicked(http, meeting, meeting.mona, meeting.bob.user_id)) < OUT_SECONDS
    await hers.wait_for("voicechatMedia().then(m => m.tracks === 0)", GONE_SECONDS, FRAME)


@MODES
async def test_alice_of_alpha_is_kicked_by_bob_of_beta(
    servers: Servers, browsers: Browsers, http: aiohttp.ClientSession, mode: str
) -> None:
    """Her own server, at whose SFU she speaks, learns it from his."""
    meeting = await meet(http, servers, encrypted=mode == "compatibility")
    _, his = await talk(browsers, meeting, mode)

    assert max(await kicked(http, meeting, meeting.bob, meeting.alice.user_id)) < OUT_SECONDS
    await his.wait_for("voicechatMedia().then(m => m.tracks === 0)", GONE_SECONDS, FRAME)


@MODES
async def test_bob_whose_laptop_dies_is_gone_at_both_servers(
    servers: Servers, browsers: Browsers, http: aiohttp.ClientSession, mode: str
) -> None:
    meeting = await meet(http, servers, encrypted=mode == "compatibility")
    _, his = await talk(browsers, meeting, mode)
    his.kill()
    killed = time.monotonic()
    for watcher in meeting.watchers:
        while meeting.bob.user_id in (
            *await in_call(http, watcher, meeting.room_id, mode), *await roster(http, watcher, meeting.room_id)
        ):  # fmt: skip
            assert time.monotonic() - killed < GONE_SECONDS, "Bob is a ghost"
            await asyncio.sleep(0.05)
    # Nobody speaks at the SFU of beta any more, so she stays where she speaks.
    await all_see(http, meeting, mode, {meeting.alice.user_id}, set(), GONE_SECONDS)


async def test_a_bot_of_alpha_and_element_call_at_beta_hear_each_other_encrypted(
    servers: Servers, browsers: Browsers, http: aiohttp.ClientSession
) -> None:
    """The SDK participant speaks at its own server's SFU and listens at Bob's; Bob throws it out."""
    meeting = await meet(http, servers, encrypted=True)
    his = await browsers("bob")
    # Otherwise the browser takes its own beep for noise.
    await enter_call(his, meeting.bob, meeting.room_id, noiseSuppression="false", echoCancellation="false")

    heard = bytearray()
    client = MatrixClient(http, meeting.alice.base_url)
    await client.login(meeting.alice.localpart, meeting.alice.password)
    call = BotCall(client, meeting.room_id, encrypted=True, heard=lambda _, samples: heard.extend(samples))
    await call.enter()
    playing = asyncio.create_task(call.play(tone(997, 60)))
    try:
        await his.wait_for("voicechatMedia().then(m => m.audioPackets > 150 && m.audioEnergy > 0.1)", 40, FRAME)
        async with asyncio.timeout(30):
            while np.abs(np.frombuffer(bytes(heard), dtype=np.int16)).max(initial=0) < 30:
                heard.clear()
                await asyncio.sleep(0.2)
        await all_see(http, meeting, "compatibility", meeting.both, meeting.both, 5)
        assert max(await kicked(http, meeting, meeting.bob, meeting.alice.user_id)) < OUT_SECONDS
        await his.wait_for("voicechatMedia().then(m => m.tracks === 0)", GONE_SECONDS, FRAME)
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await call.leave()
