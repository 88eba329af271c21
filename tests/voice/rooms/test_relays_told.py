"""Who joins a call is told of the operator's TURN server, with credentials of his own."""

from __future__ import annotations

from tests.voice.rooms.stage import Stage, set_stage
from voice.turn import TurnAccess


def stage_with(*uris: str) -> Stage:
    stage = set_stage()
    stage.server.door.turn = TurnAccess(uris, "north wind", 3600)
    return stage


async def test_alice_and_bob_get_credentials_of_their_own() -> None:
    stage = stage_with("turn:turn.test?transport=udp", "turns:turn.test")
    alice, bob = stage.in_a_call("alice", "bob")
    (for_alice,), (for_bob,) = alice.signal.last("join").ice_servers, bob.signal.last("join").ice_servers
    assert list(for_alice.urls) == ["turn:turn.test?transport=udp", "turns:turn.test"]
    assert for_alice.username == f"{stage.time.ms // 1000 + 3600}:alice"
    assert for_bob.username.endswith(":bob")
    assert for_alice.credential != for_bob.credential


async def test_who_resumes_gets_fresh_ones() -> None:
    stage = stage_with("turn:turn.test")
    (alice,) = stage.in_a_call("alice")
    before = alice.signal.last("join").ice_servers[0].username
    stage.time.advance(5_000)
    signal = stage.resumes(alice)
    assert signal.last("reconnect").ice_servers[0].username > before


async def test_an_address_that_is_none_ends_nobodys_call() -> None:
    stage = stage_with("turn.test:3478", "turn:turn.test")
    (alice,) = stage.in_a_call("alice")
    assert list(alice.signal.last("join").ice_servers[0].urls) == ["turn:turn.test"]


async def test_without_a_turn_server_nobody_is_told_of_one() -> None:
    (alice,) = set_stage().in_a_call("alice")
    assert not alice.signal.last("join").ice_servers
