"""What Alice is told of voice when she starts her server, and what is left of it when the server is gone."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.commands.processes import free_port, running, voicechat, written_config


def worker_pids(server_pid: int) -> list[int]:
    children = psutil.Process(server_pid).children(recursive=True)
    return [each.pid for each in children if "voice.sfu.embedded.worker" in each.cmdline()]


def test_up_says_what_has_to_be_reached_and_takes_its_worker_along(tmp_path: Path) -> None:
    port, media_port = free_port(), free_port()
    voice = f"voice: {{workers: 3, port: {media_port}, bind: 127.0.0.1}}\n"
    with running(written_config(tmp_path, port, voice), port, "up") as server:
        (worker,) = worker_pids(server.popen.pid)
        status, output = server.stop()
    assert status == 0
    assert f"port {media_port} to {media_port + 2}, UDP and TCP, to be reached by everybody" in output
    assert "clients are told 127.0.0.1" in output
    assert not psutil.pid_exists(worker)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere it takes until the worker reads")
def test_no_worker_survives_a_killed_server(tmp_path: Path) -> None:
    port = free_port()
    voice = "voice: {workers: 1, port: 0, bind: 127.0.0.1}\n"
    with running(written_config(tmp_path, port, voice), port) as server:
        (worker,) = worker_pids(server.popen.pid)
        process = psutil.Process(worker)
        # Stopped, it cannot notice anything by itself.
        process.suspend()
        server.popen.send_signal(signal.SIGKILL)
        process.wait(10)
    assert not psutil.pid_exists(worker)


def test_a_taken_media_port_is_named_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        voice = f"voice: {{workers: 1, port: {port}, bind: 127.0.0.1}}\n"
        result = voicechat("serve", "--config", written_config(tmp_path, free_port(), voice))
    assert result.returncode != 0
    assert f"Another program uses the port for voice, 127.0.0.1 port {port}" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("clusters", "sentence"),
    [
        ("[]", "voice.backend is livekit, but voice.livekit names no cluster."),
        ("[{url: 'wss://sfu.test', api_key: k}]", "the cluster default needs api_secret."),
    ],
)
def test_livekit_needs_a_cluster(tmp_path: Path, clusters: str, sentence: str) -> None:
    config = written_config(tmp_path, free_port(), f"voice: {{backend: livekit, livekit: {clusters}}}\n")
    result = voicechat("config", "check", "--config", config)
    assert result.returncode == 1
    assert sentence in result.stdout
