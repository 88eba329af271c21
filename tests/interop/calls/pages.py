"""Serves the livekit page, and keeps what the browsers that show it report."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.interop.environments import CACHE, Unavailable

SOURCE = Path(__file__).with_name("livekit_page")
WORKER = Path("node_modules/livekit-client/dist/livekit-client.e2ee.worker.mjs")


@dataclass(slots=True)
class Pages:
    """Reports by name; the newest of each."""

    port: int
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def address(self, name: str, url: str, token: str, host: str = "localhost", **options: str) -> str:
        return f"http://{host}:{self.port}/?{urlencode({'name': name, 'url': url, 'token': token, **options})}"

    async def wait_for(self, name: str, fits: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """The first report that fits; raises TimeoutError with the last one."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    report = self.reports.get(name, {})
                    if "error" in report:
                        raise AssertionError(f"{name}: {report['error']}")
                    if report and fits(report):
                        return report
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise TimeoutError(f"{name} last said {self.reports.get(name)}") from None


def build_page() -> Path:
    """Bundled once for the same sources; raises Unavailable."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(SOURCE.iterdir()) if file.is_file()))
    directory, stamp = CACHE / "livekit-page", CACHE / "livekit-page.made-from"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return directory
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is needed to fetch livekit-client")
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(SOURCE, directory)
    bundle = [
        "node_modules/.bin/esbuild",
        "page.js",
        "--bundle",
        "--format=esm",
        "--outfile=bundle.js",
        "--log-level=warning",
    ]
    try:
        for command in ([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], bundle):
            subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"livekit-client could not be installed: {error}") from error
    stamp.write_text(digest.hexdigest())
    return directory


@asynccontextmanager
async def serve_pages(host: str = "127.0.0.1") -> AsyncIterator[Pages]:
    directory = await asyncio.to_thread(build_page)
    pages = Pages(0)

    async def take(request: web.Request) -> web.Response:
        pages.reports[request.match_info["name"]] = json.loads(await request.read())
        pages.news.set()
        return web.Response()

    def file(path: Path) -> Callable[[web.Request], Any]:
        async def send(request: web.Request) -> web.FileResponse:
            kind = "text/javascript" if path.suffix in (".js", ".mjs") else "text/html"
            return web.FileResponse(path, headers={"Content-Type": kind})

        return send

    application = web.Application()
    application.router.add_get("/", file(directory / "index.html"))
    application.router.add_get("/page.js", file(directory / "bundle.js"))
    application.router.add_get("/e2ee-worker.js", file(directory / WORKER))
    application.router.add_post("/report/{name}", take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    pages.port = runner.addresses[0][1]
    try:
        yield pages
    finally:
        await runner.cleanup()
