"""A headless Firefox with a pretended camera and microphone that shows one page, where asked in a network namespace of its own.

Firefox does not pair loopback candidates, so it needs an address that is not loopback: a veth pair ends in the namespace,
and a small relay there lets it reach page and signalling at localhost, which browsers take for a secure place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "app.update.enabled": False,
}
OURS, THEIRS = "10.203.77.1", "10.203.77.2"


def find_firefox() -> str | None:
    given = os.environ.get("VOICECHAT_TEST_FIREFOX")
    return given or shutil.which("firefox-esr") or shutil.which("firefox")


def start_firefox(
    program: str, profile: Path, address: str, inside: Namespace | None = None
) -> subprocess.Popen[bytes]:
    profile.mkdir(parents=True)
    lines = [f'user_pref("{name}", {str(value).lower()});' for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--no-remote", "--profile", str(profile), address]
    if inside is not None:
        command = ["ip", "netns", "exec", inside.name, *command]
    log = (profile.parent / f"{profile.name}.log").open("wb")
    environment = {**os.environ, "HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment)


def stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network of its own with one way out: to us, at OURS."""

    name: str

    def relay(self, port: int) -> subprocess.Popen[bytes]:
        """What listens at localhost:port inside leads to OURS:port."""
        command = ["ip", "netns", "exec", self.name, sys.executable, "-c", _RELAY, str(port), OURS]
        return subprocess.Popen(command, start_new_session=True)


def may_have_namespaces() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("ip") is not None


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Made for one story, and gone with all its interfaces afterwards."""
    name, ours, theirs = f"vc{os.getpid()}", f"vca{os.getpid()}"[:15], f"vcb{os.getpid()}"[:15]
    _ip("netns", "add", name)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        _ip("addr", "add", f"{OURS}/24", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", name, "addr", "add", f"{THEIRS}/24", "dev", theirs)
        _ip("-n", name, "link", "set", theirs, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "route", "add", "default", "via", OURS)
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "link", "del", ours], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


_RELAY = """
import asyncio, sys
port, host = int(sys.argv[1]), sys.argv[2]
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def serve(reader, writer):
    there = await asyncio.open_connection(host, port)
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()
asyncio.run(main())
"""
