"""GET /sync: the first one, the next one, and what is empty."""

from __future__ import annotations

from tests.cast import Server


async def test_a_new_account_gets_an_empty_first_sync(server: Server) -> None:
    alice = await server.register("alice")
    answer = await alice.sync()
    assert "rooms" not in answer
    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert answer["device_unused_fallback_key_types"] == []


async def test_alice_sees_the_room_she_made(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(name="Kitchen")
    event_id = await alice.send(room_id, "hello")
    answer = await alice.sync()
    assert answer.event_ids(room_id)[-1] == event_id
    room = answer.room(room_id)
    assert room["timeline"]["limited"] is False
    assert room["state"]["events"] == []
    assert room["summary"]["m.joined_member_count"] == 1
    again = await alice.sync()
    assert "rooms" not in again


async def test_bob_reads_what_alice_wrote(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    event_id = await alice.send(room_id, "hello")
    answer = await bob.sync()
    assert answer.event_ids(room_id) == [event_id]
    event = answer.timeline(room_id)[0]
    assert event["unsigned"] == {"membership": "join", "age": 0}
    assert answer.room(room_id)["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
