"""People without a client and participants without a person: the guest's link, and `./voicechat voice-bot`."""

from __future__ import annotations

import asyncio
import os
import sys
import wave
from pathlib import Path

import aiohttp
import numpy as np

from tests.interop.calls.conftest import Browsers
from tests.interop.calls.stand import call_members, make_call_room, register
from tests.interop.environments import PROJECT
from tests.interop.target import Target

FRAME = "element-call/index.html"
GUESTS = {"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}}


async def test_a_guest_with_a_link_is_in_the_call(
    call_server: Target, browsers: Browsers, http: aiohttp.ClientSession
) -> None:
    alice = await register(http, call_server.base_url, "alice")
    body = {
        "preset": "public_chat",
        "room_alias_name": f"lounge-{alice.localpart}",
        "creation_content": {"type": "org.matrix.msc3417.call"},
        "initial_state": [GUESTS],
    }
    room_id = str((await alice.ask(http, "POST", "/_matrix/client/v3/createRoom", body))["room_id"])
    alias = f"#lounge-{alice.localpart}:{alice.user_id.split(':', 1)[1]}"

    browser = await browsers("guest")
    await browser.open(f"{call_server.base_url}/_voicechat/call/#/{alias}?skipLobby=true&encrypted=false")
    await browser.wait_for("document.getElementById('join')?.disabled === false", 20)
    await browser.run("document.getElementById('name').value = 'Zoe'; document.getElementById('join').click()")
    await browser.wait_for("document.getElementById('call').hidden === false", 30)
    await browser.wait_for("voicechatMedia().then(m => m.audioSent > 100)", 40, FRAME)

    (guest,) = await call_members(http, alice, room_id)
    profile = await alice.ask(http, "GET", f"/_matrix/client/v3/profile/{guest}")
    assert profile["displayname"] == "Zoe"


async def run_bot(*arguments: str, password: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "VOICECHAT_BOT_PASSWORD": password}
    command = [sys.executable, "-m", "homeserver", "voice-bot", *arguments]
    return await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def test_one_bot_plays_and_another_records_it(
    call_server: Target, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    player = await register(http, call_server.base_url, "player")
    recorder = await register(http, call_server.base_url, "recorder")
    room_id = await make_call_room(http, player, recorder)
    there = ["--homeserver", call_server.base_url, room_id]

    records = await run_bot(
        *there, "--user", recorder.localpart, "--record", str(tmp_path / "heard"), "--seconds", "14",
        password=recorder.password,
    )  # fmt: skip
    plays = await run_bot(
        *there, "--user", player.localpart, "--tone", "997", "--seconds", "9", password=player.password
    )
    for bot in (plays, records):
        _, said = await asyncio.wait_for(bot.communicate(), 60)
        assert bot.returncode == 0, said.decode()

    (file,) = (tmp_path / "heard").iterdir()
    with wave.open(str(file)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16).astype(float)
        rate = sound.getframerate()
    loud = samples[np.abs(samples) > 0][-3 * rate :]
    spectrum = np.abs(np.fft.rfft(loud * np.hanning(len(loud)))) ** 2
    frequencies = np.fft.rfftfreq(len(loud), 1 / rate)
    assert abs(frequencies[np.argmax(spectrum)] - 997) < 20
    assert spectrum[np.abs(frequencies - 997) < 20].sum() > 0.8 * spectrum.sum()
    assert await call_members(http, player, room_id) == set()


async def test_a_bot_that_may_not_enter_says_why(call_server: Target, http: aiohttp.ClientSession) -> None:
    alice = await register(http, call_server.base_url, "alice")
    mallory = await register(http, call_server.base_url, "mallory")
    room_id = await make_call_room(http, alice)
    there = ["--homeserver", call_server.base_url, room_id]
    bot = await run_bot(*there, "--user", mallory.localpart, "--tone", "440", password=mallory.password)
    _, said = await asyncio.wait_for(bot.communicate(), 30)
    assert bot.returncode == 1
    assert "M_FORBIDDEN" in said.decode()
    assert "Traceback" not in said.decode()
