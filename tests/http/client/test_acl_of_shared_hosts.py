"""Servers with a port in their names. Lists of servers name hosts only: whoever denies a host denies all servers on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.cast import Client, Server
from tests.homeserver import server_settings


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    return server_settings(tmp_path, server_name=request.param)


async def set_acl(alice: Client, expect: Any = 200, **content: Any) -> None:
    room_id = await alice.create_room()
    await alice.set_state(room_id, "m.room.server_acl", content, expect=expect)


@pytest.mark.parametrize("settings", ["example.org:8449", "192.0.2.7:8449", "[2001:db8::7]:8449"], indirect=True)
async def test_alice_cannot_shut_her_own_server_out(server: Server, settings: Settings) -> None:
    alice = await server.register("alice")
    host = settings.server_name.rpartition(":")[0]
    shuts_out = (400, "M_BAD_JSON")
    await set_acl(alice, allow=["*"], deny=[host], expect=shuts_out)
    await set_acl(alice, allow=["elsewhere.example"], expect=shuts_out)
    # An entry with a port matches nothing: it neither shuts out nor lets in.
    await set_acl(alice, allow=[settings.server_name], expect=shuts_out)
    await set_acl(alice, allow=["*"], deny=[settings.server_name])
    await set_acl(alice, allow=[host])
    if host != "example.org":
        await set_acl(alice, allow=["*"], allow_ip_literals=False, expect=shuts_out)


@pytest.mark.parametrize("settings", ["localhost:8449", "127.0.0.1:8449"], indirect=True)
async def test_whom_of_one_machine_alice_means_is_for_her_to_say(server: Server, settings: Settings) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    host = settings.server_name.partition(":")[0]
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": [host]})
    await alice.set_state(room_id, "m.room.server_acl", {"allow": "*"}, expect=(400, "M_BAD_JSON"))
    # Nobody shuts out users of this server: lists are for what comes from elsewhere.
    await alice.send(room_id, "hello")
