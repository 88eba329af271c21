"""Servers whose rooms are encrypted from the start: `rooms.encrypt_by_default`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import RoomSettings, Settings
from tests.cast import Client, Server
from tests.homeserver import server_settings

FLAG = "io.element.e2ee_forced."


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, rooms=RoomSettings(encrypt_by_default=("private_chat", "trusted_private_chat")))


async def _encryption(client: Client, **wishes: Any) -> Any:
    room_id = await client.create_room(**wishes)
    answer = await client.raw("GET", ("rooms", room_id, "state", "m.room.encryption", ""))
    return answer.json().get("algorithm") if answer.status == 200 else None


async def test_alice_need_not_think_of_encryption(server: Server) -> None:
    alice = await server.register("alice")
    megolm = "m.megolm.v1.aes-sha2"
    assert await _encryption(alice) == megolm
    assert await _encryption(alice, preset="trusted_private_chat", name="Us") == megolm
    assert await _encryption(alice, visibility="private", room_version="9") == megolm
    assert await _encryption(alice, preset="public_chat") is None
    assert await _encryption(alice, visibility="public") is None
    own = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "org.example.own"}}
    assert await _encryption(alice, initial_state=[own]) == "org.example.own"


async def test_clients_are_told(server: Server) -> None:
    features = (await (await server.register("alice")).get("/_matrix/client/versions"))["unstable_features"]
    assert {name: value for name, value in features.items() if name.startswith(FLAG)} == {
        f"{FLAG}private": True,
        f"{FLAG}trusted_private": True,
    }
