"""Alice signs in with nheko under Xvfb, sees the room of the gardeners, and talks with Bob."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from tests.interop.calls.stand import Account, register
from tests.interop.desktop.nheko import Nheko
from tests.interop.desktop.screen import Screen
from tests.interop.environments import Unavailable
from tests.interop.target import Target

CLIENT = "/_matrix/client/v3"
SECONDS = 30.0


@pytest.fixture
def screen() -> Iterator[Screen]:
    try:
        screen = Screen.open()
    except Unavailable as error:
        pytest.skip(str(error))
    yield screen
    screen.close()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def nheko_on(screen: Screen, home: Path) -> Nheko:
    try:
        return await Nheko.open(screen, home)
    except Unavailable as error:
        pytest.skip(str(error))


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds when it finds something. Raises TimeoutError."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.2)


async def test_alice_signs_in_sees_the_room_and_answers(
    homeserver_under_test: Target, screen: Screen, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    alice, bob = [await register(http, homeserver_under_test.base_url, name) for name in ("alice", "bob")]
    room_id = await gardeners(http, bob, alice)
    asked = await say(http, bob, room_id, "Who waters the tomatoes?")
    nheko = await nheko_on(screen, tmp_path)
    await nheko.sign_in(alice.user_id, alice.password, "nheko at home", alice.base_url)
    devices = await alice.ask(http, "GET", f"{CLIENT}/devices")
    assert "nheko at home" in [device.get("display_name") for device in devices["devices"]]
    await nheko.skip_encryption()
    await nheko.open_first_room()
    # It tells of a message as read when it has drawn it.
    await eventually(lambda: has_read(http, bob, room_id, alice.user_id, asked))
    await nheko.say("I do, every evening!")
    await eventually(lambda: has_said(http, bob, room_id, alice.user_id, "I do, every evening!"))
    before = screen.picture()
    answered = await say(http, bob, room_id, "Splendid. And the roses are mine.")
    await eventually(lambda: has_read(http, bob, room_id, alice.user_id, answered))
    picture = await screen.settle(before)
    if shots := os.environ.get("VOICECHAT_TEST_SCREENSHOTS"):
        picture.save(Path(shots) / "nheko.png", optimize=True)


async def gardeners(http: aiohttp.ClientSession, owner: Account, guest: Account) -> str:
    body = {"name": "Gardeners", "preset": "private_chat", "invite": [guest.user_id]}
    room_id = str((await owner.ask(http, "POST", f"{CLIENT}/createRoom", body))["room_id"])
    await guest.ask(http, "POST", f"{CLIENT}/join/{quote(room_id)}", {})
    return room_id


async def say(http: aiohttp.ClientSession, sender: Account, room_id: str, text: str) -> str:
    path = f"{CLIENT}/rooms/{quote(room_id)}/send/m.room.message/{quote(text)}"
    return str((await sender.ask(http, "PUT", path, {"msgtype": "m.text", "body": text}))["event_id"])


async def has_said(http: aiohttp.ClientSession, reader: Account, room_id: str, sender: str, text: str) -> bool:
    page = await reader.ask(http, "GET", f"{CLIENT}/rooms/{quote(room_id)}/messages?dir=b&limit=10")
    return (sender, text) in [(event["sender"], event["content"].get("body")) for event in page["chunk"]]


async def has_read(http: aiohttp.ClientSession, reader: Account, room_id: str, user_id: str, event_id: str) -> bool:
    room = (await reader.ask(http, "GET", f"{CLIENT}/sync"))["rooms"]["join"][room_id]
    receipts = [event["content"] for event in room["ephemeral"]["events"] if event["type"] == "m.receipt"]
    return any(user_id in content.get(event_id, {}).get("m.read", {}) for content in receipts)
