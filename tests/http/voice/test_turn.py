"""Credentials for TURN as coturn computes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from config.settings import Settings, TurnSettings, VoiceSettings
from tests.cast import Server
from tests.clock import START_MS
from tests.homeserver import server_settings

SECRET = "north wind"
URIS = ("turn:turn.test:3478?transport=udp", "turns:turn.test:5349")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    turn = TurnSettings(uris=URIS, shared_secret=SECRET, lifetime_ms=3_600_000)
    return server_settings(tmp_path, voice=VoiceSettings(enabled=False, turn=turn))


async def test_alice_gets_credentials_for_an_hour(server: Server) -> None:
    alice = await server.register("alice")
    answer = await alice.get("voip/turnServer")
    assert answer["username"] == f"{START_MS // 1000 + 3600}:@alice:test"
    expected = hmac.new(SECRET.encode(), answer["username"].encode(), hashlib.sha1).digest()
    assert base64.b64decode(answer["password"]) == expected
    assert (answer["uris"], answer["ttl"]) == (list(URIS), 3600)


async def test_strangers_get_none(server: Server) -> None:
    await server.anonymous().get("voip/turnServer", expect=(401, "M_MISSING_TOKEN"))


class TestWithoutTurn:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path, voice=VoiceSettings(enabled=False))

    async def test_nothing_is_configured(self, server: Server) -> None:
        alice = await server.register("alice")
        await alice.get("voip/turnServer", expect=(404, "M_NOT_FOUND"))
