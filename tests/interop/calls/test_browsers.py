"""livekit-client as released, in Chromium and Firefox: sound, pictures, data; encrypted and not; both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.interop.calls.chromium import find_chromium
from tests.interop.calls.conftest import Browsers
from tests.interop.calls.firefox import OURS, find_firefox, may_have_namespaces, namespace, start_firefox, stop
from tests.interop.calls.pages import Pages, serve_pages
from tests.interop.calls.stand import Account, call_token, make_call_room, register, start_server
from tests.interop.target import Target

KEY = "a shared key for the whole call"


def hears(report: dict[str, Any], *, video: bool = True) -> bool:
    media = report["media"]
    return bool(
        media["audioPackets"] > 100
        and media["audioEnergy"] > 0.001
        and (media["videoFrames"] > 10 or not video)
        # Even numbers are sent reliably, odd ones not.
        and {int(each["text"].split()[1]) % 2 for each in report["heard"]} == {0, 1}
    )


async def everybody(
    pages: Pages, names: tuple[str, ...], fits: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(pages.wait_for(name, fits, 45) for name in names)))


async def two_people(http: aiohttp.ClientSession, target: Target) -> tuple[list[Account], list[dict[str, str]]]:
    alice, bob = [await register(http, target.base_url, name) for name in ("alice", "bob")]
    room_id = await make_call_room(http, alice, bob)
    return [alice, bob], [await call_token(http, each, room_id) for each in (alice, bob)]


@pytest.mark.parametrize(
    "options", [{}, {"key": KEY}, {"v0": "1"}, {"v0": "1", "key": KEY}], ids=["v1", "v1-e2ee", "v0", "v0-e2ee"]
)
async def test_two_chromiums_hear_see_and_write_to_each_other(
    call_server: Target, browsers: Browsers, http: aiohttp.ClientSession, options: dict[str, str]
) -> None:
    _, (hers, his) = await two_people(http, call_server)
    async with serve_pages() as pages:
        for name, call in (("alice", hers), ("bob", his)):
            browser = await browsers(name)
            await browser.open(pages.address(name, call["url"], call["jwt"], camera="1", **options))
        reports = await everybody(pages, ("alice", "bob"), hears)
    assert all(each["media"]["audioLost"] == 0 for each in reports), reports
    assert all(len(each["others"]) == 1 for each in reports)


async def test_firefox_in_a_network_of_its_own_and_chromium(
    browsers: Browsers, http: aiohttp.ClientSession, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    firefox = find_firefox()
    if firefox is None or not may_have_namespaces() or find_chromium() is None:
        pytest.skip("needs Firefox, Chromium, and root for a network namespace")
    with namespace() as inside:
        target = start_server(tmp_path_factory.mktemp("netns"), bind=OURS, listener_bind=OURS)
        started = []
        try:
            _, (hers, his) = await two_people(http, target)
            async with serve_pages(OURS) as pages:
                # Inside, page and signalling are at localhost (a secure place); media goes to our address by itself.
                port = int(target.base_url.rsplit(":", 1)[1])
                started += [inside.relay(port), inside.relay(pages.port)]
                local = his["url"].replace(OURS, "localhost")
                address = pages.address("bob", local, his["jwt"], key=KEY, camera="1")
                started.append(start_firefox(firefox, tmp_path / "firefox", address, inside))
                browser = await browsers(
                    "alice", f"--unsafely-treat-insecure-origin-as-secure=http://{OURS}:{pages.port}"
                )
                await browser.open(pages.address("alice", hers["url"], hers["jwt"], OURS, key=KEY, camera="1"))
                reports = await everybody(pages, ("alice", "bob"), hears)
        finally:
            for process in started:
                stop(process)
            target.stop()
    assert all(each["media"]["audioLost"] == 0 for each in reports), reports
