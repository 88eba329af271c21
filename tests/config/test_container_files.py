"""The files that people start containers with say the same as the settings, and as each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.load import load_settings
from config.settings import Settings
from homeserver.commands.config import problems_of
from homeserver.composition.livekit_clusters import cluster_addresses
from homeserver.http.voice.livekit_webhook import PATH

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
LIVEKIT = ROOT / "config" / "deploy" / "livekit.yaml"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
SECRET = "0123456789abcdef0123456789abcdef"

PLAIN = {
    "SERVER_NAME": "example.org",
    "PUBLIC_BASEURL": "https://matrix.example.org",
    "POSTGRES_PASSWORD": "letters",
    "PUBLIC_ADDRESS": "203.0.113.7",
}
TURN = {**PLAIN, "TURN_SECRET": SECRET, "TURN_URIS": '["turn:turn.example.org:3478"]'}
WITH_LIVEKIT = {
    **PLAIN,
    "VOICE_BACKEND": "livekit",
    "LIVEKIT_URL": "wss://sfu.example.org",
    "LIVEKIT_SECRET": SECRET,
}


def compose(env: Mapping[str, str]) -> dict[str, Any]:
    """As `docker compose` reads it with this .env. KeyError for what has to be given and is not."""

    def value(match: re.Match[str]) -> str:
        name, how, word = match.groups()
        if env.get(name):
            return env[name]
        if how == "?":
            raise KeyError(word)
        return word if how == "-" else ""

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(each) for key, each in node.items()}
        if isinstance(node, list):
            return [filled(each) for each in node]
        return VARIABLE.sub(value, node) if isinstance(node, str) else node

    parsed: dict[str, Any] = filled(yaml.safe_load(COMPOSE.read_text()))
    return parsed


def settings_with(env: Mapping[str, str]) -> Settings:
    return load_settings(environment=compose(env)["services"]["voicechat"]["environment"])


@pytest.mark.parametrize("env", [PLAIN, TURN, WITH_LIVEKIT], ids=["plain", "turn", "livekit"])
def test_what_the_container_is_told_is_a_configuration_that_can_be_used(env: dict[str, str]) -> None:
    settings = settings_with(env)
    assert list(problems_of(settings)) == []
    assert settings.server_name == "example.org"
    assert settings.voice.advertise == ("203.0.113.7",)
    assert settings.database.url == "postgresql://voicechat:letters@postgres:5432/voicechat"


@pytest.mark.parametrize("missing", ["SERVER_NAME", "PUBLIC_BASEURL", "POSTGRES_PASSWORD"])
def test_what_has_no_default_is_asked_for(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        compose({**PLAIN, missing: ""})


@pytest.mark.parametrize("missing", ["LIVEKIT_URL", "LIVEKIT_SECRET"])
def test_livekit_without_its_address_or_secret_is_a_problem_with_a_name(missing: str) -> None:
    (problem,) = problems_of(settings_with({**WITH_LIVEKIT, missing: ""}))
    assert ("url" if missing == "LIVEKIT_URL" else "api_secret") in problem


def test_nothing_runs_that_nobody_asked_for() -> None:
    services = compose(PLAIN)["services"]
    profiles = {name: each.get("profiles", []) for name, each in services.items()}
    assert profiles == {
        "voicechat": [],
        "postgres": [],
        "coturn": ["turn"],
        "livekit": ["livekit"],
        "redis": ["livekit"],
    }
    for service in services.values():
        for needed in service.get("depends_on", {}):
            started_by = services[needed].get("profiles", [])
            assert started_by in ([], service.get("profiles", [])), "it would start without its profile"


def test_the_ports_of_voice_are_open_for_each_worker() -> None:
    voice, service = settings_with(PLAIN).voice, compose(PLAIN)["services"]["voicechat"]
    assert voice.workers is not None
    last = voice.port + voice.workers - 1
    for protocol in ("udp", "tcp"):
        assert f"{voice.port}-{last}:{voice.port}-{last}/{protocol}" in service["ports"]
    assert "127.0.0.1:8008:8008" in service["ports"], "the rest is behind a proxy with TLS"


def test_turn_has_our_secret_and_leads_into_no_private_network() -> None:
    settings, coturn = settings_with(TURN), compose(TURN)["services"]["coturn"]
    assert f"--static-auth-secret={settings.voice.turn.shared_secret}" in coturn["command"]
    assert settings.voice.turn.uris == ("turn:turn.example.org:3478",)
    denied = {each.partition("=")[2].partition("-")[0] for each in coturn["command"] if "denied-peer" in each}
    assert {"10.0.0.0", "127.0.0.0", "169.254.0.0", "172.16.0.0", "192.168.0.0", "::1", "fc00::"} <= denied


def test_livekit_and_we_know_each_other() -> None:
    """Key, secret, address of the API, address of the webhook."""
    livekit, service = yaml.safe_load(LIVEKIT.read_text()), compose(WITH_LIVEKIT)["services"]["livekit"]
    (cluster,) = cluster_addresses(settings_with(WITH_LIVEKIT).voice.livekit)
    assert service["environment"]["LIVEKIT_KEYS"] == f"{cluster.api_key}: {cluster.api_secret}"
    assert (cluster.url, cluster.api_url) == ("wss://sfu.example.org", f"http://livekit:{livekit['port']}")
    assert livekit["webhook"] == {"api_key": cluster.api_key, "urls": [f"http://voicechat:8008{PATH}"]}
    assert livekit["room"]["auto_create"] is False, "a token would make rooms that we have ended"
    assert len(cluster.api_secret) >= 32, "LiveKit asks for that"


def test_the_ports_of_livekit_are_open_and_its_file_is_there() -> None:
    livekit, service = yaml.safe_load(LIVEKIT.read_text()), compose(WITH_LIVEKIT)["services"]["livekit"]
    port, tcp, udp = livekit["port"], livekit["rtc"]["tcp_port"], livekit["rtc"]["udp_port"]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}", f"{tcp}:{tcp}/tcp", f"{udp}:{udp}/udp"]
    source, inside, _ = service["volumes"][0].split(":")
    assert (ROOT / source).resolve() == LIVEKIT
    assert service["command"] == f'--config {inside} --node-ip "203.0.113.7"'
