"""Browsers and SDK participants in calls of a real server process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
import pytest_asyncio

from tests.interop.calls.chromium import Chromium, find_chromium
from tests.interop.calls.stand import Account, start_server
from tests.interop.environments import Unavailable
from tests.interop.target import Target

WATCHER = Path(__file__).with_name("watcher.js")


class Browsers(Protocol):
    """Opens a browser of its own for somebody."""

    async def __call__(self, name: str, *arguments: str) -> Chromium: ...


@pytest.fixture(scope="session")
def call_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    try:
        target = start_server(tmp_path_factory.mktemp("calls"))
    except Unavailable as error:
        pytest.skip(str(error))
    yield target
    target.stop()
    assert target.complaints() == []


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture
async def browsers(tmp_path: Path) -> AsyncIterator[Browsers]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium; or VOICECHAT_TEST_CHROMIUM)")
    opened: list[Chromium] = []
    numbers = itertools.count(1)

    async def open_browser(name: str, *arguments: str) -> Chromium:
        browser = await Chromium.start(program, tmp_path / f"{next(numbers)}-{name}", *arguments)
        opened.append(browser)
        await browser.before_each_document(WATCHER.read_text())
        return browser

    yield open_browser
    for browser in opened:
        await browser.close()


async def enter_call(browser: Chromium, account: Account, room_id: str, **parameters: Any) -> None:
    """Through the call page, with user name and password; the call is joined without a lobby."""
    query = "&".join(f"{name}={value}" for name, value in {"skipLobby": "true", **parameters}.items())
    await browser.open(f"{account.base_url}/_voicechat/call/#/{room_id}?{query}")
    await browser.wait_for("document.getElementById('join')?.disabled === false", 20)
    await browser.run(
        "(() => { const set = (id, value) => { document.getElementById(id).value = value };"
        "document.getElementById('account').open = true; document.getElementById('name').required = false;"
        f"set('user', {account.localpart!r}); set('password', {account.password!r});"
        "document.getElementById('join').click(); })()"
    )
    await browser.wait_for("document.getElementById('call').hidden === false", 30)
