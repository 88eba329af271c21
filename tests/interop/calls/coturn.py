"""A real TURN server on the loopback address, which gives itself to who knows its secret."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.interop.target import free_port

PROGRAM = shutil.which("turnserver")


@asynccontextmanager
async def coturn(directory: Path, secret: str, *more: str) -> AsyncIterator[int]:
    """Its port. Loopback peers are refused, as coturn does by itself, unless `more` allows them."""
    assert PROGRAM is not None
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    options = (
        "--use-auth-secret", f"--static-auth-secret={secret}", "--realm=test", "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1", f"--listening-port={port}", "--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout",
        f"--pidfile={directory / 'pid'}", f"--userdb={directory / 'db'}", "-c", "/dev/null", *more,
    )  # fmt: skip
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(PROGRAM, *options, stdout=quiet, stderr=quiet, cwd=directory)
    try:
        await _listening(port)
        yield port
    finally:
        process.kill()
        await process.wait()


async def _listening(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise AssertionError("coturn does not listen")
