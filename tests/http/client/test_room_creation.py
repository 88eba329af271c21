"""Alice makes rooms."""

from __future__ import annotations

from tests.cast import Server


async def test_alice_makes_a_room_and_bob_joins_it(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", name="The pub", topic="Everything", room_alias_name="pub")
    assert (await bob.join("#pub:test")) == {"room_id": room_id}
    assert await bob.send(room_id, "hello")


async def test_two_rooms_of_the_same_moment_are_two_rooms(server: Server) -> None:
    alice = await server.register("alice")
    assert await alice.create_room() != await alice.create_room()
