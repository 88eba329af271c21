"""Signing in with an OpenID provider: `python bench/sign_in/round_trip.py [times]`. Prints a table for RESULTS.md. Linux only."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

import aiohttp  # noqa: E402

from tests.browser import Browser  # noqa: E402
from tests.interop.target import SERVER_NAME, Target, start_target  # noqa: E402
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProviderPlayed, oidc_provider  # noqa: E402

TIMES = 200
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
CLIENT = "https://client.example/"


def cpu_ms(target: Target) -> float:
    """Of the server's process, without its database."""
    fields = Path(f"/proc/{target.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


async def sign_in(session: aiohttp.ClientSession, target: Target, provider: OidcProviderPlayed) -> str:
    """From `login/sso/redirect` to the access token; whose it is."""
    browser = Browser(session, target.base_url, target.base_url)
    away = await browser.open("/_matrix/client/v3/login/sso/redirect/bench", redirectUrl=CLIENT)
    assert away.left_for is not None, away.text
    page = await browser.open(provider.authorize(away.left_for))
    token = page.headers["Refresh"].partition("loginToken=")[2]
    body = {"type": "m.login.token", "token": token}
    async with session.post(f"{target.base_url}/_matrix/client/v3/login", json=body) as answer:
        user_id: str = (await answer.json())["user_id"]
        return user_id


async def measure(
    name: str, session: aiohttp.ClientSession, target: Target, provider: OidcProviderPlayed, times: int, *, new: bool
) -> None:
    """One row: each time somebody new, or always the same."""
    waits, before = [], cpu_ms(target)
    for number in range(times):
        who = f"{name.replace(' ', '')}{number if new else 0}"
        provider.person = {"sub": who, "preferred_username": who, "groups": [f"group {each}" for each in range(20)]}
        started = time.perf_counter()
        assert await sign_in(session, target, provider) == f"@{who}:{SERVER_NAME}"
        waits.append((time.perf_counter() - started) * 1000)
    used = (cpu_ms(target) - before) / times
    print(f"| {name} | {used:.1f} | {statistics.median(waits):.1f} | {max(waits):.1f} |", flush=True)


async def main(times: int) -> None:
    async with oidc_provider() as provider, aiohttp.ClientSession() as session:
        settings = {
            "sso": {
                "providers": [
                    {"id": "bench", "issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
                ],
                "trusted_clients": [CLIENT],
            },
            "outgoing_http": {"verify_tls": False},
        }
        with tempfile.TemporaryDirectory() as folder:
            target = await asyncio.to_thread(start_target, Path(folder), settings)
            try:
                await sign_in(session, target, provider)
                print("| sign-in | CPU of ours, ms | p50 ms, provider included | slowest |\n|---|---|---|---|")
                await measure("somebody new", session, target, provider, times, new=True)
                await measure("somebody known", session, target, provider, times, new=False)
            finally:
                target.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TIMES))
