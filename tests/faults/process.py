"""A real server process on one data folder: started, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0


@dataclass(slots=True)
class ServerProcess:
    """`python -m homeserver` with an embedded PostgreSQL. Always on the same port, like a real one."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    """What is different from `_settings`."""
    program: Sequence[str] = ("-m", "homeserver")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        """Start and wait for the first answer."""
        config = self.folder / "homeserver.yaml"
        config.write_text(yaml.safe_dump(_settings(self.data_dir, self.port) | self.settings))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "--config", str(config)],
                cwd=PROJECT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.base_url}/_matrix/client/versions", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"the server did not become ready:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """As the power would: no handler runs."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_postgres(self) -> None:
        """The same for the database alone."""
        os.kill(self.postgres_pid, signal.SIGKILL)

    @property
    def postgres_pid(self) -> int:
        (pid_file,) = self.data_dir.rglob("postmaster.pid")
        return int(pid_file.read_text().splitlines()[0])

    def stop(self) -> None:
        """Politely; killed if that does not help."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not stop when told to") from None


def _settings(data_dir: Path, port: int) -> dict[str, object]:
    return {
        "server_name": "faults.test",
        "public_baseurl": f"http://127.0.0.1:{port}",
        "data_dir": str(data_dir),
        # These stories are about chat; several servers run at once, and would want the same media ports.
        "voice": {"enabled": False},
        "listeners": [{"bind": "127.0.0.1", "port": port, "resources": ["client", "media", "admin"]}],
        "registration": {"enabled": True, "require_verification": False},
        "passwords": {"hash_cost": "minimum"},
        "rate_limits": {"enabled": False},
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
