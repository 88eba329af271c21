"""The operator asks `doctor voice` what is wrong with his voice."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from homeserver.commands.doctor_voice import line_of
from tests.commands.processes import free_port, running, voicechat, written_config
from voice.probe.finding import Finding, ok, wrong

VOICE = "voice: {workers: 0, port: %d, bind: 127.0.0.1}\n"


def test_a_healthy_voice_and_somebody_without_the_key(tmp_path: Path) -> None:
    port, media_port = free_port(), free_port()
    config = written_config(tmp_path, port, VOICE % media_port)
    with running(config, port):
        healthy = voicechat("doctor", "voice", "--config", config, "--seconds", "0.3")
        assert healthy.returncode == 0, healthy.stdout + healthy.stderr
        assert f"ok    http://localhost:{port} gives us a call for a test." in healthy.stdout
        assert "ok    UDP works: 15 of 15 packets arrived" in healthy.stdout
        assert "ok    TCP works: 15 of 15 packets arrived" in healthy.stdout
        assert "WRONG" not in healthy.stdout
        assert "Voice works from here." in healthy.stdout

        other = tmp_path / "other.key"
        other.write_text("ed25519 a_1 " + "A" * 43 + "\n")
        mallory = ("--base-url", f"http://127.0.0.1:{port}", "--key-file", other, "--server-name", "test")
        refused = voicechat("doctor", "voice", *mallory, cwd=tmp_path)
        assert refused.returncode == 1
        assert "refuses the test: Only who has the signing key of test may ask for a probe" in refused.stdout


def test_an_sfu_whose_port_is_taken_is_down(tmp_path: Path) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        config = written_config(tmp_path, port, VOICE % taken.getsockname()[1])
        with running(config, port):
            result = voicechat("doctor", "voice", "--config", config)
    assert result.returncode == 1
    assert "WRONG Voice is down: The SFU cannot be reached: The media port of voice cannot be opened" in result.stdout


def test_a_server_that_does_not_run_at_an_address_that_is_not_there(tmp_path: Path) -> None:
    config = written_config(tmp_path, free_port(), "public_baseurl: http://127.0.0.1:1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "signing.key").write_text("ed25519 a_1 " + "A" * 43 + "\n")
    result = voicechat("doctor", "voice", "--config", config)
    assert result.returncode == 1
    assert "WRONG Nobody answers at http://127.0.0.1:1" in result.stdout
    assert "note  Nor does anybody answer at http://localhost:" in result.stdout
    assert "Traceback" not in result.stderr


def test_without_a_key_there_is_no_test_and_none_is_made(tmp_path: Path) -> None:
    result = voicechat("doctor", "voice", "--config", written_config(tmp_path, free_port()))
    assert result.returncode == 1
    assert result.stderr.startswith(f"voicechat: The signing key {tmp_path / 'data' / 'signing.key'} cannot be read")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("finding", "colour"), [(ok("Well."), "\033[32mok   "), (wrong("Ill."), "\033[31mWRONG")])
def test_terminals_get_colours(finding: Finding, colour: str) -> None:
    assert line_of(finding, coloured=True).startswith(colour)
    assert "\033" not in line_of(finding, coloured=False)
