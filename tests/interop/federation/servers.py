"""Homeservers as processes that federate over real TLS on this machine: ours, and Synapse."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config.settings import TlsSettings
from tests.federation.authority import Authority
from tests.interop.environments import PROJECT, synapse_python
from tests.interop.target import COMPLAINT, free_port

READY_SECONDS = 180.0
HOSTS = {"voicechat": "localhost", "synapse": "127.0.0.1"}
"""What servers are called before the colon. Not the same: the list of servers that a room lets in knows no ports."""
STOP_SECONDS = 30.0
MakeCommand = Callable[["FederatedServer", Authority, TlsSettings], list[str]]


@dataclass(slots=True)
class FederatedServer:
    """One homeserver. Its name has the port of the road that leads to it, so nobody asks DNS."""

    kind: str
    folder: Path
    federation_port: int
    """Where it listens for other servers."""
    road_port: int
    """Where they find it."""
    client_port: int = field(default_factory=free_port)
    command: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"{HOSTS[self.kind]}:{self.road_port}"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        """Returns when clients are answered."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.base_url}/_matrix/client/versions", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{self.kind} did not become ready:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As if the power had failed."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def complaints(self) -> list[str]:
        """Errors in our own log, and answers of 500 and above."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if COMPLAINT.match(line)]


def make_server(kind: str, folder: Path, authority: Authority, federation_port: int, road_port: int) -> FederatedServer:
    """`voicechat` or `synapse`, configured and not yet started."""
    folder.mkdir(parents=True, exist_ok=True)
    server = FederatedServer(kind, folder, federation_port, road_port)
    make: dict[str, MakeCommand] = {"voicechat": _voicechat, "synapse": _synapse}
    server.command = make[kind](server, authority, authority.issue(HOSTS[kind]))
    return server


def _voicechat(server: FederatedServer, authority: Authority, tls: TlsSettings) -> list[str]:
    certificate = {"certificate": str(tls.certificate), "private_key": str(tls.private_key)}
    config: dict[str, Any] = {
        "server_name": server.name,
        "public_baseurl": server.base_url,
        "data_dir": str(server.folder / "data"),
        "listeners": [
            {"port": server.client_port, "resources": ["client", "media", "admin", "voice"]},
            {"port": server.federation_port, "resources": ["federation", "keys", "media"], "tls": certificate},
        ],
        "registration": {"enabled": True, "require_verification": False},
        "passwords": {"hash_cost": "minimum"},
        "rate_limits": {"enabled": False},
        "federation": {
            "ca_file": str(authority.ca_file),
            "ip_denylist": [],
            "retry": {"initial": "1s", "max": "2s"},
        },
        "room_directory": {"public_over_federation": True, "public_without_auth": True},
        "voice": {"bind": "127.0.0.1", "port": free_port(), "workers": 1},
    }
    file = server.folder / "homeserver.yaml"
    file.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "homeserver", "--config", str(file)]


def _synapse(server: FederatedServer, authority: Authority, tls: TlsSettings) -> list[str]:
    folder = server.folder
    unlimited = {"per_second": 100_000, "burst_count": 100_000}
    common = {"bind_addresses": ["127.0.0.1"], "type": "http"}
    config: dict[str, Any] = {
        "server_name": server.name,
        "pid_file": str(folder / "homeserver.pid"),
        "public_baseurl": f"{server.base_url}/",
        "listeners": [
            {**common, "port": server.client_port, "tls": False, "resources": [{"names": ["client"]}]},
            {**common, "port": server.federation_port, "tls": True, "resources": [{"names": ["federation"]}]},
        ],
        "tls_certificate_path": str(tls.certificate),
        "tls_private_key_path": str(tls.private_key),
        "federation_custom_ca_list": [str(authority.ca_file)],
        "federation_client_minimum_tls_version": "1.2",
        "federation_ip_range_blacklist": [],
        "ip_range_blacklist": [],
        "federation": {
            "destination_min_retry_interval": "1s",
            "destination_max_retry_interval": "2s",
            # Of one transaction, which it tries ten times before it counts the destination as away.
            "max_long_retry_delay": "1s",
            "max_long_retries": 2,
        },
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "report_stats": False,
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "allow_public_rooms_over_federation": True,
        "allow_public_rooms_without_auth": True,
        "allow_device_name_lookup_over_federation": True,
        "macaroon_secret_key": "interop",
        "form_secret": "interop",
        "bcrypt_rounds": 4,
        "room_list_publication_rules": [{"action": "allow"}],
        "rc_message": unlimited,
        "rc_registration": unlimited,
        "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), unlimited),
        "rc_joins": dict.fromkeys(("local", "remote"), unlimited),
        "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), unlimited),
        "rc_federation": {"window_size": 1000, "sleep_limit": 100_000, "reject_limit": 100_000, "concurrent": 100},
    }
    file = folder / "homeserver.yaml"
    file.write_text(yaml.safe_dump(config))
    program = [str(synapse_python()), "-m", "synapse.app.homeserver", "--config-path", str(file)]
    subprocess.run([*program, "--generate-keys"], check=True, cwd=folder, capture_output=True)
    return program
