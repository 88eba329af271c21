"""People without an account make one."""

from __future__ import annotations

from tests.cast import Server

DUMMY = {"type": "m.login.dummy"}


async def test_alice_registers_in_one_request(server: Server) -> None:
    alice = await server.register("alice", device_id="PHONE")
    assert (alice.user_id, alice.device_id) == ("@alice:test", "PHONE")
    assert alice.access_token
    assert alice.refresh_token is None
