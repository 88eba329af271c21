"""Two servers of one kind that federate: `python bench/federation/pair.py KIND FOLDER`.

Writes their configurations, certificates and profiles. KIND is `voicechat` or `synapse`; FOLDER/a.json and FOLDER/b.json
are what mxbench's `--target` and `--peer` take. The databases are on the PostgreSQL of the other benchmarks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.federation.authority import Authority

POSTGRES = {"host": "127.0.0.1", "port": 54330, "user": "postgres"}
PORTS = {"voicechat": (18110, 18120), "synapse": (18210, 18220)}
SECRET = "bench-shared-secret"


def main() -> None:
    """Write everything for both servers."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    for name, port in zip("ab", PORTS[kind], strict=True):
        home = folder / name
        home.mkdir(exist_ok=True)
        tls = authority.issue("localhost")
        write = {"voicechat": voicechat, "synapse": synapse}[kind]
        config, command = write(home, port, f"bench_fed_{kind}_{name}", authority.ca_file, tls)
        (home / "homeserver.yaml").write_text(yaml.safe_dump(config))
        (folder / f"{name}.json").write_text(json.dumps(profile(kind, name, home, port, command), indent=2))


def profile(kind: str, name: str, home: Path, port: int, command: list[str]) -> dict[str, Any]:
    """How mxbench starts one of them and accounts its processes."""
    database = f"bench_fed_{kind}_{name}"
    made = f"create database {database} encoding 'UTF8' lc_collate 'C' lc_ctype 'C' template template0"
    psql = "psql -X -q -h 127.0.0.1 -p 54330 -U postgres"
    return {
        "name": f"{kind}-{name}",
        "base_url": f"http://127.0.0.1:{port}",
        "start_cmd": command,
        "cwd": str(home),
        "log": str(home / "server.log"),
        "pg_pidfile": "$BENCH_DIR/pg/postmaster.pid",
        "pg_url": f"postgresql://postgres@127.0.0.1:54330/{database}",
        "reset_cmd": f"{psql} -c 'drop database if exists {database} with (force)' -c \"{made}\"",
    }


def voicechat(home: Path, port: int, database: str, ca_file: Path, tls: Any) -> tuple[dict[str, Any], list[str]]:
    """No limits; one media worker, which has nothing to do."""
    certificate = {"certificate": str(tls.certificate), "private_key": str(tls.private_key)}
    config = {
        "server_name": f"localhost:{port + 1}",
        "public_baseurl": f"http://127.0.0.1:{port}",
        "data_dir": str(home / "data"),
        "database": {"url": f"postgresql://postgres@127.0.0.1:54330/{database}"},
        "listeners": [
            {"port": port, "resources": ["client", "media", "admin"]},
            {"port": port + 1, "resources": ["federation", "keys", "media"], "tls": certificate},
        ],
        "registration": {"enabled": True, "require_verification": False, "shared_secret": SECRET},
        "passwords": {"hash_cost": "minimum"},
        "rate_limits": {"enabled": False},
        "federation": {"ca_file": str(ca_file), "ip_denylist": [], "retry": {"initial": "0s", "max": "1s"}},
        "voice": {"bind": "127.0.0.1", "port": port + 2, "workers": 1},
        "log": {"level": "WARNING", "to": "stdout"},
    }
    return config, ["$HOMESERVER_PYTHON", "-m", "homeserver", "--config", str(home / "homeserver.yaml")]


def synapse(home: Path, port: int, database: str, ca_file: Path, tls: Any) -> tuple[dict[str, Any], list[str]]:
    """One process, no limits, as `targets/synapse.example.yaml` of mxbench has it."""
    unlimited = {"per_second": 100_000, "burst_count": 100_000}
    common = {"bind_addresses": ["127.0.0.1"], "type": "http"}
    config = {
        "server_name": f"localhost:{port + 1}",
        "pid_file": str(home / "homeserver.pid"),
        "public_baseurl": f"http://127.0.0.1:{port}/",
        "listeners": [
            {**common, "port": port, "tls": False, "resources": [{"names": ["client"], "compress": False}]},
            {**common, "port": port + 1, "tls": True, "resources": [{"names": ["federation"], "compress": False}]},
        ],
        "tls_certificate_path": str(tls.certificate),
        "tls_private_key_path": str(tls.private_key),
        "federation_custom_ca_list": [str(ca_file)],
        "federation_ip_range_blacklist": [],
        "ip_range_blacklist": [],
        "database": {"name": "psycopg2", "args": {**POSTGRES, "dbname": database, "cp_min": 5, "cp_max": 10}},
        "log_config": "BENCH_DIR/synapse/log.yaml",
        "media_store_path": str(home / "media"),
        "signing_key_path": str(home / "signing.key"),
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "report_stats": False,
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": "bench-macaroon",
        "form_secret": "bench-form",
        "bcrypt_rounds": 4,
        "rc_message": unlimited,
        "rc_registration": unlimited,
        "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), unlimited),
        "rc_joins": dict.fromkeys(("local", "remote"), unlimited),
        "rc_joins_per_room": unlimited,
        "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), unlimited),
        "rc_room_creation": unlimited,
        "rc_federation": {
            "window_size": 1000,
            "sleep_limit": 100_000,
            "sleep_delay": 1,
            "reject_limit": 100_000,
            "concurrent": 1000,
        },
    }
    return config, ["$SYNAPSE_PYTHON", "-m", "synapse.app.homeserver", "-c", str(home / "homeserver.yaml")]


if __name__ == "__main__":
    main()
