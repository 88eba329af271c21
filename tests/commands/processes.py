"""Our server as its administrators start it: a process of its own, with a configuration file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def written_config(folder: Path, port: int, more: str = "") -> Path:
    """A configuration with its data beside it."""
    file = folder / "config.yaml"
    voice = "" if "voice:" in more else "voice: {workers: 0, port: 0, bind: 127.0.0.1}\n"
    file.write_text(
        f"server_name: test\ndata_dir: data\nlisteners: [{{port: {port}}}]\npasswords: {{hash_cost: minimum}}\n{voice}{more}"
    )
    return file


def voicechat(*words: object, text: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "homeserver", *map(str, words)],
        cwd=cwd, env=environment(), input=text, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def environment() -> dict[str, str]:
    """Ours, without settings of whoever runs the tests."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("VOICECHAT_")}
    return {**ours, "PYTHONPATH": str(ROOT)}


@dataclass(slots=True)
class Process:
    """A server that answers."""

    popen: subprocess.Popen[str]
    port: int

    def get(self, path: str) -> int:
        """The status of a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return int(response.status)

    def ask(self, method: str, path: str, body: object = None, token: str = "") -> dict[str, Any]:
        """The JSON answer to a request."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.load(response))

    @contextmanager
    def waiting(self, path: str, token: str) -> Iterator[None]:
        """A client whose request has been sent and not yet been answered."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n"
            connection.sendall(head.encode())
            connection.settimeout(1.0)
            try:
                raise AssertionError(f"it does not wait: {connection.recv(1000)!r}")
            except TimeoutError:
                yield

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit status and everything it said."""
        self.popen.send_signal(number)
        output, _ = self.popen.communicate(timeout=60)
        return self.popen.returncode, output


@contextmanager
def running(config: Path, port: int, command: str = "serve") -> Iterator[Process]:
    """Start, wait for the first answer; killed in the end if it still runs."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "homeserver", command, "--config", str(config)],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    process = Process(popen, port)
    try:
        _wait_for_answer(process)
        yield process
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.communicate(timeout=60)


def _wait_for_answer(process: Process) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.popen.poll() is not None:
            raise AssertionError(f"the server ended: {process.popen.communicate()[0]}")
        try:
            process.get("/health")
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the server does not answer")
