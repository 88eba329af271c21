"""The server under test as a real process: ours, or a Synapse that proves the suite itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.interop.environments import PROJECT, synapse_python

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
SERVER_NAME = "interop.test"
SHARED_SECRET = "what only the operator knows"
# Time, level, logger; then for a request its id, method, path and status.
COMPLAINT = re.compile(r"\S+ +(ERROR|CRITICAL) |\S+ +\w+ +requests \S+ \S+ \S+ 5\d\d ")


@dataclass(slots=True)
class Target:
    """A running homeserver."""

    base_url: str
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def complaints(self) -> list[str]:
        """What no client's behaviour may bring about: errors in the server's own log, and answers of 500 and above."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if COMPLAINT.match(line)]


def start_target(directory: Path, more: Mapping[str, Any] | None = None) -> Target:
    """Starts what VOICECHAT_INTEROP_TARGET names: `voicechat` (default, with `more` settings) or `synapse`."""
    name = os.environ.get("VOICECHAT_INTEROP_TARGET", "voicechat")
    port = free_port()
    command = _voicechat(directory, port, more or {}) if name == "voicechat" else _synapse(directory, port)
    log = directory / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
    target = Target(f"http://127.0.0.1:{port}", log, process)
    _await_ready(target)
    return target


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(target: Target) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if target.process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{target.base_url}/_matrix/client/versions", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    target.stop()
    raise RuntimeError(f"the server did not become ready:\n{target.log.read_text()[-4000:]}")


def _voicechat(directory: Path, port: int, more: Mapping[str, Any]) -> list[str]:
    resources = ["client", "media", "admin", "voice", "well_known"]
    config = {
        "server_name": SERVER_NAME,
        "public_baseurl": f"http://127.0.0.1:{port}",
        "data_dir": str(directory / "data"),
        "listeners": [{"bind": "127.0.0.1", "port": port, "resources": resources}],
        "registration": {"enabled": True, "require_verification": False, "shared_secret": SHARED_SECRET},
        "passwords": {"hash_cost": "minimum"},
        "rate_limits": {"enabled": False},
        # Of its own: several servers run at once, and one may be the operator's.
        "voice": {"bind": "127.0.0.1", "port": free_port(), "workers": 1},
        **more,
    }
    file = directory / "homeserver.yaml"
    file.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "homeserver", "--config", str(file)]


def _synapse(directory: Path, port: int) -> list[str]:
    unlimited = {"per_second": 100_000, "burst_count": 100_000}
    listener = {"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False}
    config = {
        "server_name": SERVER_NAME,
        "pid_file": str(directory / "homeserver.pid"),
        "public_baseurl": f"http://127.0.0.1:{port}/",
        "listeners": [{**listener, "resources": [{"names": ["client"], "compress": False}]}],
        "database": {"name": "sqlite3", "args": {"database": str(directory / "homeserver.db")}},
        "media_store_path": str(directory / "media"),
        "signing_key_path": str(directory / "signing.key"),
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "report_stats": False,
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "registration_shared_secret": SHARED_SECRET,
        "macaroon_secret_key": "interop",
        "form_secret": "interop",
        "bcrypt_rounds": 4,
        "experimental_features": {"msc4222_enabled": True},
        "room_list_publication_rules": [{"action": "allow"}],
        "rc_message": unlimited,
        "rc_registration": unlimited,
        "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), unlimited),
        "rc_joins": dict.fromkeys(("local", "remote"), unlimited),
        "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), unlimited),
    }
    file = directory / "homeserver.yaml"
    file.write_text(yaml.safe_dump(config))
    program = [str(synapse_python()), "-m", "synapse.app.homeserver", "--config-path", str(file)]
    subprocess.run([*program, "--generate-keys"], check=True, cwd=directory, capture_output=True)
    return program
