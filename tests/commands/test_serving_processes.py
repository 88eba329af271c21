"""Alice runs the server as a process: starts, stops, kills it, and starts it again."""

from __future__ import annotations

import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.processes import Process, free_port, running, voicechat, written_config

DATABASES = Path("data") / "postgres" / "PG_VERSION"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def config(tmp_path: Path, port: int) -> Path:
    return written_config(tmp_path, port)


@pytest.fixture
def server(config: Path, port: int) -> Iterator[Process]:
    with running(config, port) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Standing:
    """A server that runs while several tests look at it."""

    process: Process
    config: Path


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    port = free_port()
    config = written_config(tmp_path_factory.mktemp("standing"), port)
    with running(config, port) as process:
        yield Standing(process, config)


def add_alice(config: Path) -> subprocess.CompletedProcess[str]:
    return voicechat("user", "add", "alice", "--admin", "--password-stdin", "--config", config, text="correct horse\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(server: Process, config: Path, number: signal.Signals) -> None:
    status, output = server.stop(number)
    assert status == 0
    assert "Traceback" not in output
    assert not (config.parent / "data" / "postgres" / "postmaster.pid").exists()


def test_stopping_does_not_wait_for_those_who_wait(config: Path, port: int) -> None:
    """A long poll may last half a minute; service managers kill what takes too long to stop."""
    with config.open("a") as file:
        file.write("registration: {enabled: true, require_verification: false}\n")
    with running(config, port) as server:
        account = {"auth": {"type": "m.login.dummy"}, "username": "alice", "password": "correct horse"}
        token = server.ask("POST", "/_matrix/client/v3/register", account)["access_token"]
        since = server.ask("GET", "/_matrix/client/v3/sync", token=token)["next_batch"]
        with server.waiting(f"/_matrix/client/v3/sync?since={since}&timeout=60000", token):
            began = time.monotonic()
            status, _ = server.stop()
    assert status == 0
    assert time.monotonic() - began < 9, "the server waited for the poll"


def test_the_second_start_has_the_key_and_the_accounts_of_the_first(config: Path, port: int) -> None:
    key = config.parent / "data" / "signing.key"
    with running(config, port) as first:
        assert add_alice(config).returncode == 0, "while the server runs"
        text = key.read_text()
        first.popen.kill()
        first.popen.communicate(timeout=60)
    with running(config, port) as second:
        assert key.read_text() == text
        assert "taken" in add_alice(config).stderr
        assert second.stop()[0] == 0


def test_the_signing_key_is_for_its_owner_only(standing: Standing) -> None:
    key = standing.config.parent / "data" / "signing.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not list(key.parent.glob("signing.key.*"))


def test_an_account_is_made_while_no_server_runs(config: Path) -> None:
    made = add_alice(config)
    assert (made.returncode, made.stdout) == (0, "@alice:test has been made and is an administrator.\n")
    again = add_alice(config)
    assert again.returncode == 1
    assert again.stderr == "voicechat: The account could not be made: That user name is taken.\n"


def test_a_second_server_on_the_same_data_is_refused_in_one_sentence(standing: Standing) -> None:
    second = voicechat("serve", "--config", standing.config)
    assert second.returncode == 1
    assert second.stderr.startswith("voicechat: VoiceChat is already running on ")
    assert second.stderr.count("\n") == 1
    assert standing.process.get("/health") == 200


def test_a_taken_port_is_told_in_one_sentence(standing: Standing, tmp_path: Path) -> None:
    second = voicechat("serve", "--config", standing.config, "--data-dir", tmp_path / "other")
    assert second.returncode == 1
    assert second.stderr == (
        f"voicechat: Another program listens on 127.0.0.1 port {standing.process.port} already; "
        "please stop it, or choose another port (--port).\n"
    )


def test_a_server_cannot_change_its_name(config: Path) -> None:
    assert add_alice(config).returncode == 0
    config.write_text(config.read_text().replace("server_name: test", "server_name: other"))
    refused = voicechat("serve", "--config", config)
    assert refused.returncode == 1
    assert "This database belongs to the server test, but server_name is other" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_up_says_where_to_go_and_how_to_begin(config: Path, port: int) -> None:
    with running(config, port, "up") as process:
        assert process.get("/_matrix/client/versions") == 200
        _, output = process.stop()
    assert f"Clients connect to   http://localhost:{port}\n" in output
    assert f"First account        http://localhost:{port}/setup?token=" in output
    assert "embedded PostgreSQL" in output
    assert "this machine only" in output


def test_up_offers_no_link_once_there_is_an_administrator(config: Path, port: int) -> None:
    add_alice(config)
    with running(config, port, "up") as process:
        _, output = process.stop()
    assert "Clients connect to" in output
    assert "/setup?token=" not in output


def test_an_unreachable_database_is_told_without_its_password(config: Path) -> None:
    with config.open("a") as file:
        file.write(f"database: {{url: 'postgresql://alice:hunter2@127.0.0.1:{free_port()}/x'}}\n")
    refused = voicechat("serve", "--config", config)
    assert refused.returncode == 1
    assert refused.stderr.startswith("voicechat: The database at 127.0.0.1:")
    assert "hunter2" not in refused.stderr + refused.stdout


def test_doctor_finds_a_healthy_server_healthy(standing: Standing) -> None:
    healthy = voicechat("doctor", "--config", standing.config)
    assert (healthy.returncode, "WRONG" in healthy.stdout) == (0, False), healthy.stdout
    key = standing.config.parent / "data" / "signing.key"
    key.chmod(0o644)
    ill = voicechat("doctor", "--config", standing.config)
    key.chmod(0o600)
    assert ill.returncode == 1
    assert "WRONG Others can read the signing key" in ill.stdout


def test_config_check_names_line_and_neighbour(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("server_name: test\nlistenrs: []\n")
    refused = voicechat("config", "check", "--config", file)
    assert refused.returncode == 1
    assert refused.stderr == f"voicechat: {file}, line 2: listenrs is not a setting; did you mean listeners?\n"
