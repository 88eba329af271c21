"""Two servers on one host, on different ports: a list of servers names hosts only."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from tests.cast import Server
from tests.homeserver import server_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, server_name="localhost:8449")


async def test_whom_of_a_shared_host_alice_means_is_for_her_to_say(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    await alice.set_state(room_id, "m.room.server_acl", {"allow": "*"}, expect=(400, "M_BAD_JSON"))
    # Nobody shuts out users of this server: lists are for what comes from elsewhere.
    await alice.send(room_id, "hello")
